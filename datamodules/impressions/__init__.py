"""Tables of impressions: many features and several labels a row."""

from datamodules.impressions.datamodule import ImpressionsDataModule

__all__ = ["ImpressionsDataModule"]
