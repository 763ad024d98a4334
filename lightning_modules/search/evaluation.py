"""Trains one loss: a copy of the recommender under a separate Trainer, and the metric that it ends with."""
# ruff: noqa: ARG002  (Lightning gives the hooks their arguments)

import copy
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, Protocol

import pytorch_lightning as pl
from pytorch_lightning.callbacks import EarlyStopping
from torch import Tensor

from callbacks.best_weights import BestWeights
from callbacks.optimizer_settings import OptimizerSettings
from callbacks.reward import RewardCallback
from lightning_modules.losses.contract import given_by
from lightning_modules.search.trial import Assignment, Evaluation, GridPoint
from lightning_modules.statistics.single_metric import metric_name
from lightning_modules.statistics.standard_errors import components_of
from lightning_modules.training.executors import in_worker
from lightning_modules.training.quiet import quiet_lightning
from lightning_modules.training.random_numbers import forked_random_numbers, seed_random_numbers
from lightning_modules.training.trainers import AwaitedValidations, TrainerFactory, fit
from lightning_modules.training.tuning import Setting
from lightning_modules.utilities.signals import time_limit


class Evaluator(Protocol):
    """Trains losses under one budget: same start, same batches, same number of steps.

    Attributes:
        group: The largest number of losses that one call trains.
    """

    group: int

    def check(self, recommender: pl.LightningModule) -> None:
        """Refuse a recommender or a configuration that the evaluator does not support, before anything is trained.

        Raises:
            ValueError: If that is so.
        """

    def evaluate(self, recommender: pl.LightningModule, assignment: Assignment) -> list[Evaluation]:
        """Train a copy of ``recommender``, which stays unchanged, with every loss and return the results."""


class TrialEvaluator:
    """Trains one loss at a time.

    A trial depends on nothing but its loss, the recommender's weights, the seed and the number of epochs. Any module
    can be trained that says what it ``gives`` its ``loss`` and logs the monitored metric in validation.

    Args:
        trainers: Builds a Trainer for each trial.
        datamodule: The data of training and validation.
        monitor: Name of the metric.
        mode: ``max`` if more of the metric is better, ``min`` otherwise.
        timeout: Seconds after which a trial is ended and counts as failed; 0 sets no limit.
    """

    group = 1

    def __init__(
        self,
        trainers: TrainerFactory,
        datamodule: pl.LightningDataModule,
        *,
        monitor: str = "val/auc",
        mode: Literal["max", "min"] = "max",
        timeout: float = 0.0,
    ) -> None:
        self.trainers = trainers
        self.datamodule = datamodule
        self.monitor = monitor
        self.mode = mode
        self.timeout = timeout

    def check(self, recommender: pl.LightningModule) -> None:
        """Refuse a recommender without a loss, or one that does not say what it gives it."""
        given_by(recommender)

    def evaluate(self, recommender: pl.LightningModule, assignment: Assignment) -> list[Evaluation]:
        """Train and validate a copy of ``recommender`` with each loss; ``recommender`` stays unchanged.

        Raises:
            KeyboardInterrupt: If the user interrupted a training.
        """
        evaluations = [self._evaluate(recommender, point, assignment) for point in assignment.points]
        return assignment.best_of_each(evaluations)

    def measure(self, recommender: pl.LightningModule) -> float:
        """Return the score of the recommender without training; -inf where it is not finite.

        Raises:
            ValueError: If the monitored metric is not logged.
        """
        with quiet_lightning():
            trainer = self.trainers.build([RewardCallback(self.monitor, self.mode)], "start")
            # A copy, since a data module keeps a reference to its Trainer, which would be sent to workers with it.
            data = copy.copy(self.datamodule)
            (metrics,) = trainer.validate(copy.deepcopy(recommender), datamodule=data, verbose=False)
        if self.monitor not in metrics:
            raise ValueError(
                f"'{self.monitor}' is not logged in validation; monitor one of {', '.join(sorted(metrics))}"
            )
        score = metrics[self.monitor] if self.mode == "max" else -metrics[self.monitor]
        return score if math.isfinite(score) else -math.inf

    def _evaluate(self, recommender: pl.LightningModule, point: GridPoint, assignment: Assignment) -> Evaluation:
        model = copy.deepcopy(recommender)
        model.loss = point.loss
        watch = TrialWatch(self.monitor, self.mode, point.setting, assignment.patience)
        start = time.perf_counter()
        try:
            with isolated_training(assignment.seed, self.timeout):
                self._fit(model, watch, point.name, assignment.epochs)
        except Exception as error:  # an error that a formula causes is its result and does not end the search
            seconds = time.perf_counter() - start
            return Evaluation("failed", None, seconds, f"{type(error).__name__}: {error}", setting=point.setting)
        return watch.evaluation(time.perf_counter() - start, model if assignment.keep_weights else None)

    def _fit(self, model: pl.LightningModule, watch: "TrialWatch", name: str, epochs: int | None) -> None:
        once = watch.best is None
        callbacks = [AwaitedValidations(self.trainers.recipe), *watch.callbacks]
        fit(self.trainers.build(callbacks, name, epochs=epochs, validates_once=once), model, self.datamodule)


class TrialWatch:
    """The callbacks of a trial's Trainer, and the evaluation that they come to.

    Args:
        monitor: Name of the metric.
        mode: ``max`` if more of the metric is better, ``min`` otherwise.
        setting: Replaces the optimizer's own; ``None`` leaves it.
        patience: Validations without a better metric before the training ends; ``None`` trains all epochs.

    Attributes:
        callbacks: The callbacks.
        best: The best validation, which is the result; ``None`` where the last one is.
    """

    def __init__(
        self, monitor: str, mode: Literal["max", "min"], setting: Setting | None, patience: int | None
    ) -> None:
        self.setting = setting
        self.best = None if patience is None else BestWeights(monitor, mode)
        self._reward, self._rows = RewardCallback(monitor, mode), RewardRows(monitor, self.best)
        self.callbacks: list[pl.Callback] = [self._reward, self._rows]
        if setting is not None:
            self.callbacks.insert(0, OptimizerSettings(setting.learning_rate, setting.weight_decay))
        if self.best is not None and patience is not None:
            stopping = EarlyStopping(monitor, mode=mode, patience=patience)
            self.callbacks = [self.best, *self.callbacks, stopping]

    def evaluation(self, seconds: float, model: pl.LightningModule | None) -> Evaluation:
        """Return the result.

        Args:
            seconds: Wall time.
            model: The trained model, if the evaluation is to hold its weights.
        """
        trained = self._reward.status == "trained"
        score = self._reward.reward if self.best is None else self.best.score
        return Evaluation(
            self._reward.status,
            score if trained else None,
            seconds,
            weights=None if model is None else self._weights(model),
            components=self._rows.components if trained else None,
            setting=self.setting,
            epoch=0 if self.best is None else self.best.epoch,
        )

    def _weights(self, model: pl.LightningModule) -> dict[str, Tensor]:
        if self.best is not None and self.best.weights:
            return {name: value.cpu() for name, value in self.best.weights.items()}
        return cpu_state(model)


class RewardRows(pl.Callback):
    """Keeps the contribution of every user to the monitored metric in the last validation, or in the best one.

    Args:
        monitor: Name of the metric, as it is logged.
        best: Comes before this callback and knows which validation is the best; ``None`` keeps the last one's.

    Attributes:
        components: float32 on the CPU, of shape [users]; ``None`` where the metric has no standard error.
    """

    def __init__(self, monitor: str, best: BestWeights | None = None) -> None:
        self.monitor = monitor
        self.best = best
        self.components: Tensor | None = None
        self._latest: Tensor | None = None

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Read the contributions from the module's metrics, which are reset after this."""
        self._latest = components_of(getattr(pl_module, "metrics", None), metric_name(self.monitor))

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep them if the validation counts."""
        # An epoch may have several validations.
        if self.best is None or self.best.latest_is_best:
            self.components = self._latest


@contextmanager
def isolated_training(seed: int, timeout: float) -> Iterator[None]:
    """Fork and seed the random numbers, silence Lightning and limit the time; 0 seconds set no limit.

    Raises:
        TimeoutError: When the time is over; a worker that does not react to it is ended.
    """
    with time_limit(timeout, hard=in_worker()), quiet_lightning(), forked_random_numbers():
        seed_random_numbers(seed)
        yield


def cpu_state(module: pl.LightningModule) -> dict[str, Tensor]:
    """Return the state of a module on the CPU."""
    return {name: value.detach().cpu() for name, value in module.state_dict().items()}
