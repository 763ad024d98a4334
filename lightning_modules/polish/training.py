"""One training of a polish: as long as its budget says, and the weights of its best epoch in a checkpoint."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, Checkpoint, EarlyStopping

from callbacks.best_weights import BestWeights
from callbacks.optimizer_settings import OptimizerSettings
from lightning_modules.multitask.base import MultiTaskModel
from lightning_modules.training.predictions import scores
from lightning_modules.training.trainers import curves, fit, quiet_trainer, quiet_training
from lightning_modules.utilities.files import replace_file


@dataclass(frozen=True)
class TrainingSettings:
    """How long and how fast a model is trained.

    Attributes:
        epochs: The most epochs.
        patience: Epochs without a better metric before it ends; None trains all epochs.
        learning_rate: The learning rate; None leaves the optimizer's.
    """

    epochs: int
    patience: int | None = None
    learning_rate: float | None = None

    def callbacks(self, monitor: str, mode: str) -> list[Callback]:
        """Return what keeps a training to it."""
        settings = OptimizerSettings(learning_rate=self.learning_rate)
        if self.patience is None:
            return [settings]
        # Not strict: a training without any validation is told of by what it leaves.
        return [EarlyStopping(monitor, mode=mode, patience=self.patience, strict=False), settings]


@dataclass(frozen=True)
class Tested:
    """A model that was trained and tested.

    Attributes:
        metrics: Validation metrics of the best epoch, test metrics; empty if no epoch had a metric.
        logit: Logits of the test rows, float [n, tasks]; None if there is no model.
        epoch: The best epoch, counted from 1; 0 if there is none.
        seconds: Wall time of the training.
    """

    metrics: Mapping[str, float]
    logit: torch.Tensor | None
    epoch: int
    seconds: float


class PolishTraining:
    """Trains, keeps and tests models under one recipe.

    Args:
        datamodule: What they are trained, validated and tested on.
        recipe: Arguments of every Trainer; early stopping and checkpoints of its own are left out.
        monitor: The validation metric that decides which epoch is best.
        mode: Whether more (max) or less (min) of it is better.
    """

    def __init__(
        self,
        datamodule: pl.LightningDataModule,
        recipe: Mapping[str, Any],
        monitor: str,
        mode: Literal["max", "min"],
    ) -> None:
        self.datamodule = datamodule
        self.recipe = recipe
        self.monitor = monitor
        self.mode = mode

    def check(self, model: MultiTaskModel, epochs: int) -> None:
        """Refuse what no training could begin, or end, with.

        Args:
            model: An untrained model.
            epochs: The fewest epochs of a training.

        Raises:
            ValueError: If the Trainer has several processes, or validation gives no finite metric to choose epochs by.
        """
        with quiet_training():
            trainer = self._trainer([], logger=False)
            _check_trainer(trainer, epochs)
            trainer.validate(model, datamodule=self.datamodule, verbose=False)
        found = {name: float(value) for name, value in trainer.callback_metrics.items()}
        if self.monitor not in found:
            names = f"it gives {', '.join(found)}" if found else "it gives none: look at the trainer's options"
            raise ValueError(f"--polish.monitor is {self.monitor}, which validation does not give; {names}")
        if not math.isfinite(found[self.monitor]):
            raise ValueError(
                f"{self.monitor} is {found[self.monitor]} on the validation rows, so that no epoch could be the best; "
                "name another --polish.monitor, or split the rows otherwise"
            )

    def __call__(
        self, build: Callable[[], MultiTaskModel], budget: TrainingSettings, seed: int, checkpoint: Path
    ) -> Tested:
        """Train a model, write the weights of its best epoch as a checkpoint, and test it.

        Args:
            build: Returns the model; what is random in it depends on the seed.
            budget: How long and how fast.
            seed: Seed of the model, of dropout and of the batches' order.
            checkpoint: File to write; TensorBoard's curves lie in a folder of its name without the ending.
        """
        best = BestWeights(self.monitor, self.mode)
        start = time.perf_counter()
        with quiet_training():
            callbacks = [best, *budget.callbacks(self.monitor, self.mode)]
            trainer = self._trainer(callbacks, max_epochs=budget.epochs, logger=curves(checkpoint))
            torch.manual_seed(seed)
            model = build()
            # Again, so that the order of the batches does not depend on how much the weights have drawn.
            torch.manual_seed(seed)
            fit(trainer, model, self.datamodule)
            seconds = time.perf_counter() - start
            if not best.weights or not math.isfinite(best.score):
                return Tested({}, None, 0, seconds)
            model.load_state_dict(best.weights)
            replace_file(checkpoint, lambda path: trainer.save_checkpoint(path, weights_only=True))
            return self._tested(trainer, model, best, seconds)

    def _trainer(self, callbacks: Sequence[Callback], **settings: Any) -> pl.Trainer:
        # Every row is scored, however much of an epoch the recipe takes.
        settings = {"limit_predict_batches": 1.0, **settings}
        return quiet_trainer(self.recipe, [*callbacks], without=(Checkpoint, EarlyStopping), **settings)

    def _tested(self, trainer: pl.Trainer, model: MultiTaskModel, best: BestWeights, seconds: float) -> Tested:
        (test,) = trainer.test(model, datamodule=self.datamodule, verbose=False)
        loader = self.datamodule.test_dataloader()
        logit = scores(trainer, model, loader).score
        validation = {name: value for name, value in best.metrics.items() if name.startswith("val/")}
        return Tested({**validation, **test}, logit, best.epoch, seconds)


def _check_trainer(trainer: pl.Trainer, epochs: int) -> None:
    if trainer.world_size > 1:
        raise ValueError(f"a polish trains in one process, got {trainer.world_size}; set trainer.devices to 1")
    every = trainer.check_val_every_n_epoch
    if every is not None and every > epochs:
        raise ValueError(
            f"trainer.check_val_every_n_epoch is {every}, so that a fine-tuning of {epochs} epochs (--polish."
            "fine_tuning_epochs) would never be validated and have no best epoch; set it to 1"
        )
