"""Trainings that several benchmarks share: a child's budget, and full training with early stopping."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping

from callbacks.reward import RewardCallback
from datamodules import InteractionsDataModule
from lightning_modules.losses import Loss
from lightning_modules.recommenders import BiasedMF, DeepMF, Recommender

MODELS: dict[str, type[BiasedMF] | type[DeepMF]] = {"BiasedMF": BiasedMF, "DeepMF": DeepMF}
FULL_LEARNING_RATE = 2e-3
FULL_EPOCHS = 60
FULL_WEIGHT_DECAYS = (0.0, 1e-5, 1e-4)


@dataclass(frozen=True)
class ChildBudget:
    """How a child is trained; ``holdout`` 0 measures it on the validation split."""

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


class BestWeights(pl.Callback):
    """Keeps the weights of the epoch with the best validation AUC."""

    def __init__(self) -> None:
        self.best = -1.0
        self.weights: dict[str, torch.Tensor] = {}

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the weights of a better epoch."""
        score = float(trainer.callback_metrics["val/auc"])
        if score > self.best:
            self.best = score
            self.weights = {key: value.clone() for key, value in pl_module.state_dict().items()}


def full_training(data: InteractionsDataModule, loss: Loss, seed: int, model: str = "BiasedMF") -> tuple[float, float]:
    """Return validation and test AUC after training to convergence, for the best weight decay by validation."""
    return max(_full_run(data, loss, seed, model, weight_decay) for weight_decay in FULL_WEIGHT_DECAYS)


def _full_run(
    data: InteractionsDataModule, loss: Loss, seed: int, name: str, weight_decay: float
) -> tuple[float, float]:
    data.batch_size = 1024
    budget = ChildBudget("Adam", FULL_LEARNING_RATE, FULL_EPOCHS, weight_decay=weight_decay)
    model = budget.model(data, seed, name)
    model.loss = loss
    best, stop, guard = BestWeights(), EarlyStopping("val/auc", mode="max", patience=4), RewardCallback()
    trainer = pl.Trainer(
        **budget.recipe, callbacks=[stop, best, guard], logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
    )  # fmt: skip
    torch.manual_seed(seed)
    try:
        trainer.fit(model, datamodule=data)
    except RuntimeError:
        # Early stopping refuses a metric that is not finite.
        return -1.0, -1.0
    if not best.weights:
        return -1.0, -1.0
    model.load_state_dict(best.weights)
    return best.best, trainer.test(model, datamodule=data, verbose=False)[0]["test/auc"]
