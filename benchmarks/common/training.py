"""Trainings that several benchmarks share: a trial's budget, and full training with early stopping."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from datamodules import InteractionsDataModule
from lightning_modules.compare.training import MeasuredTraining
from lightning_modules.losses import Loss
from lightning_modules.recommenders import BiasedMF, DeepMF, Recommender
from lightning_modules.training.statuses import TRAINED
from lightning_modules.training.tuning import Setting

MODELS: dict[str, type[BiasedMF] | type[DeepMF]] = {"BiasedMF": BiasedMF, "DeepMF": DeepMF}
FULL_LEARNING_RATE = 2e-3
FULL_EPOCHS = 60
FULL_PATIENCE = 4
FULL_WEIGHT_DECAYS = (0.0, 1e-5, 1e-4)


@dataclass(frozen=True)
class TrialBudget:
    """How a trial is trained; ``holdout`` 0 measures it on the validation split."""

    optimizer: str
    learning_rate: float
    epochs: int
    init_std: float = 0.01
    batch_size: int = 1024
    holdout: float = 0.1
    weight_decay: float = 0.0

    def model(self, data: InteractionsDataModule, seed: int, name: str = "BiasedMF") -> Recommender:
        """Return the freshly initialised recommender."""
        torch.manual_seed(seed)
        optimizer = getattr(torch.optim, self.optimizer)
        factory = partial(optimizer, lr=self.learning_rate, weight_decay=self.weight_decay, fused=True)
        return MODELS[name](data.num_users, data.num_items, optimizer=factory, init_std=self.init_std)

    @property
    def recipe(self) -> dict[str, Any]:
        """Arguments of the Trainer."""
        clip = {"gradient_clip_val": 50.0, "gradient_clip_algorithm": "value"}
        return {"accelerator": "cpu", "devices": 1, "max_epochs": self.epochs, **clip}


def full_training(data: InteractionsDataModule, loss: Loss, seed: int, model: str = "BiasedMF") -> tuple[float, float]:
    """Return validation and test AUC after training to convergence, for the best weight decay by validation."""
    data.batch_size = 1024
    budget = TrialBudget("Adam", FULL_LEARNING_RATE, FULL_EPOCHS)
    build = partial(budget.model, data, seed, model)
    training = MeasuredTraining(build, data, budget.recipe, patience=FULL_PATIENCE, fused=True)
    runs = [training.train(loss, seed, Setting(FULL_LEARNING_RATE, decay)) for decay in FULL_WEIGHT_DECAYS]
    best = max(runs, key=lambda run: run.score)
    if best.status != TRAINED:
        return -1.0, -1.0
    return best.score, training.measure(best).metrics["test/auc"]
