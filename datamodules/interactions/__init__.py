"""Tables of users, items and labels."""

from datamodules.interactions.datamodule import InteractionsDataModule

__all__ = ["InteractionsDataModule"]
