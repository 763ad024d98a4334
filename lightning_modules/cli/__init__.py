"""The command line."""

from lightning_modules.cli.entry import main

__all__ = ["main"]
