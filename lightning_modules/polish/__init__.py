"""Fine-tunes multi-task models with the weights of critics, and holds the outcome against fair controls."""

from lightning_modules.polish.settings import PolishSettings

__all__ = ["PolishSettings"]
