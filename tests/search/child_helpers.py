"""Small data, a recommender and losses that end in every way a child can end."""

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from datamodules import SyntheticInteractions
from lightning_modules.losses import Loss
from lightning_modules.recommenders import BiasedMF
from lightning_modules.search.evaluation import TrialEvaluator
from lightning_modules.search.trial import Assignment, Evaluation
from lightning_modules.training.trainers import TrainerFactory


def planted_data(**options: Any) -> SyntheticInteractions:
    defaults = {"num_users": 40, "num_items": 30, "num_interactions": 800, "rank": 2, "scale": 3.0, "batch_size": 32}
    return SyntheticInteractions(**{**defaults, **options})


def untrained(data: SyntheticInteractions, seed: int = 0) -> BiasedMF:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return BiasedMF(data.num_users, data.num_items, embedding_dim=8, init_std=0.1)


def evaluator(data: pl.LightningDataModule, epochs: int = 1, **options: Any) -> TrialEvaluator:
    recipe = {"max_epochs": epochs, "accelerator": "cpu", "devices": 1}
    return TrialEvaluator(TrainerFactory(recipe), data, **options)


def trained(evaluator: TrialEvaluator, recommender: BiasedMF, loss: Loss, seed: int = 0) -> Evaluation:
    """Train one child and return what became of it, weights included."""
    (evaluation,) = evaluator.evaluate(recommender, Assignment((loss,), ("child",), seed, keep_weights=True))
    return evaluation


class NoisySquare(Loss):
    """Samples from torch's own randomness."""

    def forward(self, prediction: Tensor, label: Tensor) -> Tensor:
        return (prediction - label) ** 2 * torch.rand(prediction.shape)
