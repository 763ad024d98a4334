"""One full training: a fresh model with one loss and setting, trained to convergence."""

import copy
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, Literal, cast

import pytorch_lightning as pl

from callbacks.reward import RewardCallback
from lightning_modules.losses import Loss, LossObject
from lightning_modules.populations import UnmatchedError
from lightning_modules.training.convergence import ConvergenceTrainer, TrainingSettings
from lightning_modules.training.executors import in_worker
from lightning_modules.training.fused_convergence import FusedConvergenceTrainer
from lightning_modules.training.fused_grid import FusedGridTrainer, StackedRun
from lightning_modules.training.quiet import quiet_lightning, quiet_training
from lightning_modules.training.statuses import DIVERGED, FAILED, TRAINED
from lightning_modules.training.tuning import Setting

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingRun:
    """The outcome of one training to convergence.

    Attributes:
        status: ``trained``; ``diverged`` if a loss or metric was not finite at any time; ``failed`` with an error.
        score: The best validation metric, negated where less is better; -inf unless trained.
        epoch: The epoch of the best validation, counted from 1; 0 if there is none.
        epochs: Epochs that were trained.
        converged: Whether the metric stopped improving before the last epoch that the Trainer allows.
        metrics: Validation metrics of the best epoch.
        seconds: Wall time.
        error: The exception of a failed training, empty otherwise.
        trainer: The Trainer, to evaluate with; ``None`` if the training failed, or was another process's.
        model: The model with the weights of the best epoch; ``None`` if there are none.
    """

    status: str
    score: float
    epoch: int = 0
    epochs: int = 0
    converged: bool = False
    metrics: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    error: str = ""
    trainer: pl.Trainer | None = None
    model: pl.LightningModule | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Return what goes to another process: a Trainer stays in its own."""
        return {**vars(self), "trainer": None}


class FullTraining:
    """Trains models to convergence; the same seed gives every loss the same start and the same batches.

    Args:
        build: Returns a freshly initialised model.
        datamodule: What it is trained and validated on.
        recipe: Arguments of its Trainer; early stopping and checkpoints of its own are left out.
        monitor: The validation metric that decides when to stop and which epoch is best.
        mode: Whether more (max) or less (min) of it is better.
        patience: Validations without a better metric before a training ends.
        fused: Whether compiled kernels train where they match; the log says once why if they do not.
        population: The most losses and settings that these train at once.
    """

    def __init__(
        self,
        build: Callable[[], pl.LightningModule],
        datamodule: pl.LightningDataModule,
        recipe: Mapping[str, Any],
        *,
        monitor: str = "val/auc",
        mode: Literal["max", "min"] = "max",
        patience: int = 5,
        fused: bool = False,
        population: int = 1,
    ) -> None:
        self.build = build
        self.datamodule = datamodule
        self.recipe = recipe
        self.monitor = monitor
        self.mode = mode
        self.patience = patience
        self.fused = fused
        self.population = population
        self._said: set[str] = set()

    def train(self, loss: LossObject, seed: int, setting: Setting) -> TrainingRun:
        """Train one model; an error in its training is an outcome too.

        Raises:
            KeyboardInterrupt: If the user interrupted the training.
            MisconfigurationException: If the Trainer cannot be built.
        """
        if self.fused:
            try:
                return self._trained(FusedConvergenceTrainer, loss, seed, setting)
            except UnmatchedError as error:
                # Asked of every training anew, so that none depends on which ones came before.
                self._say_once(f"Compiled training is not used: {error}.")
        return self._trained(ConvergenceTrainer, loss, seed, setting)

    def train_all(self, losses: Sequence[LossObject], seed: int, settings: Sequence[Setting]) -> list[TrainingRun]:
        """Train one model with each loss and its setting, at once where compiled kernels match; see :meth:`train`."""
        points, most = [*zip(losses, settings, strict=True)], self.most_at_once
        if most == 1 or len(points) == 1:
            return [self.train(loss, seed, setting) for loss, setting in points]
        groups = [points[first : first + most] for first in range(0, len(points), most)]
        return [run for group in groups for run in self._at_once(group, seed)]

    @cached_property
    def most_at_once(self) -> int:
        """The most losses and settings to train at once: 1 where compiled kernels cannot train the model."""
        return self.population if self.fused and self.population > 1 and not self._misfit else 1

    @cached_property
    def _misfit(self) -> str:
        """Why compiled kernels cannot train the model with the Trainer; empty if they can."""
        try:
            with quiet_training():
                FusedGridTrainer(self.recipe, self.monitor, self.mode, patience=self.patience).check(self.build())
        except UnmatchedError as error:
            return str(error)
        return ""

    def say_how(self) -> None:
        """Say in the log if compiled kernels cannot train the model, for workers, which do not say it."""
        if self.fused and self._misfit:
            self._say_once(f"Compiled training is not used: {self._misfit}.")

    def _at_once(self, points: Sequence[tuple[LossObject, Setting]], seed: int) -> list[TrainingRun]:
        try:
            runs = self._stacked(points, seed)
        except Exception as error:  # what stands in the way of one must not fail them all
            self._say_once(f"Settings are trained one by one, since training them at once ended in {error!r}.")
            runs = [None] * len(points)
        return [
            self.train(loss, seed, setting) if run is None else run
            for run, (loss, setting) in zip(runs, points, strict=True)
        ]

    def _stacked(self, points: Sequence[tuple[LossObject, Setting]], seed: int) -> list[TrainingRun | None]:
        """Return the outcome of every point; ``None`` where the kernels could not train."""
        # Losses of other kinds are refused in training.
        losses, start = [cast(Loss, setting.of_loss(loss)) for loss, setting in points], time.perf_counter()
        build = partial(self._model, losses[0])
        with quiet_training():
            grid = FusedGridTrainer(self.recipe, self.monitor, self.mode, patience=self.patience)
            found = grid.fit(build, losses, [setting for _, setting in points], self.datamodule, seed)
            fresh = build()
        seconds = (time.perf_counter() - start) / len(points)
        return [self._run_at(point, fresh, loss, seconds) for point, loss in zip(found, losses, strict=True)]

    def _run_at(
        self, point: StackedRun, fresh: pl.LightningModule, loss: LossObject, seconds: float
    ) -> TrainingRun | None:
        if point.error:
            return None
        # To build one anew reads all of its arguments.
        model = copy.deepcopy(fresh)
        model.loss = loss
        model.load_state_dict(point.weights)
        return TrainingRun(
            status=TRAINED if point.is_finite else DIVERGED,
            score=point.score if point.is_finite else -math.inf,
            epoch=point.epoch,
            epochs=point.epochs,
            converged=point.converged,
            metrics={self.monitor: point.metric},
            seconds=seconds,
            model=model,
        )

    def _trained(self, kind: type[ConvergenceTrainer], loss: LossObject, seed: int, setting: Setting) -> TrainingRun:
        start, guard = time.perf_counter(), RewardCallback(self.monitor, self.mode)
        settings = TrainingSettings(None, self.patience, setting.learning_rate, setting.weight_decay)
        with quiet_lightning():
            convergence = kind(self.recipe, self.monitor, self.mode, settings, callbacks=[guard])
        try:
            with quiet_training():
                model = convergence.fit(partial(self._model, setting.of_loss(loss)), self.datamodule, seed)
        except UnmatchedError:
            raise
        except Exception as error:
            message = f"{type(error).__name__}: {error}"
            return TrainingRun(FAILED, -math.inf, seconds=time.perf_counter() - start, error=message)
        return _outcome(convergence, guard, model, time.perf_counter() - start)

    def _model(self, loss: LossObject) -> pl.LightningModule:
        model = self.build()
        model.loss = loss
        return model

    def _say_once(self, message: str) -> None:
        if message not in self._said and not in_worker():
            self._said.add(message)
            _log.warning(message)


def _outcome(
    convergence: ConvergenceTrainer, guard: RewardCallback, model: pl.LightningModule, seconds: float
) -> TrainingRun:
    """Return the outcome of a training that raised no error."""
    best, trained = convergence.best, guard.status == "trained"
    return TrainingRun(
        status=TRAINED if trained else DIVERGED,
        score=best.score if trained else -math.inf,
        epoch=best.epoch,
        epochs=convergence.trainer.current_epoch,
        converged=convergence.converged,
        metrics=convergence.validation_metrics,
        seconds=seconds,
        trainer=convergence.trainer,
        model=model if best.weights else None,
    )
