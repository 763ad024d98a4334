"""What the models learn from."""

from datamodules.batches import Batch, PairBatch, PredictionBatch
from datamodules.interactions import InteractionsDataModule
from datamodules.loader import BatchLoader
from datamodules.movielens import MovieLens
from datamodules.pairs import PairLoader
from datamodules.synthetic import SyntheticInteractions

__all__ = [
    "Batch",
    "BatchLoader",
    "InteractionsDataModule",
    "MovieLens",
    "PairBatch",
    "PairLoader",
    "PredictionBatch",
    "SyntheticInteractions",
]
