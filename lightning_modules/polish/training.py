"""One training of a polish: the checkpoint of its best epoch, its metrics and its scores of the test rows."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
import torch

from lightning_modules.multitask.base import MultiTaskModel
from lightning_modules.training.convergence import ConvergenceTrainer, TrainingSettings
from lightning_modules.training.predictions import scores
from lightning_modules.training.quiet import quiet_training
from lightning_modules.training.shared_run import SharedRun
from lightning_modules.training.trainers import scoring_trainer
from lightning_modules.utilities.files import replace_file


@dataclass(frozen=True)
class Tested:
    """A model that was trained and tested.

    Attributes:
        metrics: Validation metrics of the best epoch, test metrics; empty if no epoch had a metric.
        logit: Logits of the test rows, float [n, tasks]; None if there is no model.
        epoch: The best epoch, counted from 1; 0 if there is none.
        seconds: Wall time of the training.
        limited: Whether a limit of the Trainer ended a training that early stopping was to end.
    """

    metrics: Mapping[str, float]
    logit: torch.Tensor | None
    epoch: int
    seconds: float
    limited: bool = False


class PolishTraining:
    """Trains models with one recipe, writes their checkpoints and tests them.

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
        """Refuse a Trainer, model or data with which no training could find a best epoch.

        Args:
            model: An untrained model.
            epochs: The fewest epochs of a training.

        Raises:
            ValueError: If the Trainer has several processes, or validation gives no finite metric to choose epochs by.
        """
        with quiet_training():
            trainer = scoring_trainer(self.recipe)
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

    def train(
        self, build: Callable[[], MultiTaskModel], settings: TrainingSettings, seed: int, checkpoint: Path
    ) -> Tested:
        """Train a model, write the weights of its best epoch as a checkpoint, and test it.

        Args:
            build: Returns the model; what is random in it depends on the seed.
            settings: How long and with which steps.
            seed: Seed of the model, of dropout and of the order of the batches.
            checkpoint: File to write, two folders below the polish, whose TensorBoard run gets the curves.
        """
        start = time.perf_counter()
        with quiet_training():
            # Not strict: a training that was never validated is reported as one without a best epoch.
            convergence = ConvergenceTrainer(
                self.recipe, self.monitor, self.mode, settings, strict=False, logger=SharedRun(checkpoint)
            )
            model = convergence.fit(build, self.datamodule, seed)
            seconds = time.perf_counter() - start
            if not math.isfinite(convergence.best.score):
                return Tested({}, None, 0, seconds)
            trainer = convergence.trainer
            replace_file(checkpoint, lambda path: trainer.save_checkpoint(path, weights_only=True))
            (test,) = trainer.test(model, datamodule=self.datamodule, verbose=False)
            logit = scores(trainer, model, self.datamodule.test_dataloader()).score
        metrics = {**convergence.validation_metrics, **test}
        return Tested(metrics, logit, convergence.best.epoch, seconds, _is_limited(convergence))


def _is_limited(convergence: ConvergenceTrainer) -> bool:
    # Early stopping also ends a training whose metric is no longer finite, without having waited.
    stopping = convergence.stopping
    return stopping is not None and not convergence.converged and not stopping.stopped_epoch


def _check_trainer(trainer: pl.Trainer, epochs: int) -> None:
    if trainer.world_size > 1:
        raise ValueError(f"a polish trains in one process, got {trainer.world_size}; set trainer.devices to 1")
    every = trainer.check_val_every_n_epoch
    if every is not None and every > epochs:
        raise ValueError(
            f"trainer.check_val_every_n_epoch is {every}, so that a fine-tuning of {epochs} epochs (--polish."
            "fine_tuning_epochs) would never be validated and have no best epoch; set it to 1"
        )
