"""The command line."""

from lightning_modules.cli.main import main

__all__ = ["main"]
