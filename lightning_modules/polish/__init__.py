"""Fine-tunes multi-task models with sample weights of critics, and compares them with controls."""

from lightning_modules.polish.settings import PolishSettings

__all__ = ["PolishSettings"]
