"""Trains one loss: a copy of the recommender under a separate Trainer, and the metric that it ends with."""
# ruff: noqa: ARG002  (Lightning gives the hooks their arguments)

import copy
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, Protocol

import pytorch_lightning as pl
import torch
from torch import Tensor

from callbacks.reward import RewardCallback
from lightning_modules.losses import Loss
from lightning_modules.losses.contract import given_by
from lightning_modules.search.executors import in_worker
from lightning_modules.search.trial import Assignment, Evaluation
from lightning_modules.statistics.standard_errors import components_of
from lightning_modules.training.quiet import quiet_lightning
from lightning_modules.training.trainers import TrainerFactory, fit
from lightning_modules.utilities.signals import time_limit

_SPLIT = "val/"


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
        losses = zip(assignment.losses, assignment.names, strict=True)
        return [self._evaluate(recommender, loss, name, assignment) for loss, name in losses]

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

    def _evaluate(self, recommender: pl.LightningModule, loss: Loss, name: str, assignment: Assignment) -> Evaluation:
        model = copy.deepcopy(recommender)
        model.loss = loss
        reward, rows = RewardCallback(self.monitor, self.mode), RewardRows(self.monitor)
        start = time.perf_counter()
        try:
            with isolated_training(assignment.seed, self.timeout):
                self._fit(model, [reward, rows], name, assignment.epochs)
        except Exception as error:  # an error that a formula causes is its result and does not end the search
            return Evaluation("failed", None, time.perf_counter() - start, f"{type(error).__name__}: {error}")
        trained = reward.status == "trained"
        weights = cpu_state(model) if assignment.keep_weights else None
        return Evaluation(
            reward.status,
            reward.reward if trained else None,
            time.perf_counter() - start,
            weights=weights,
            components=rows.components if trained else None,
        )

    def _fit(self, model: pl.LightningModule, callbacks: list[pl.Callback], name: str, epochs: int | None) -> None:
        fit(self.trainers.build(callbacks, name, epochs=epochs), model, self.datamodule)


class RewardRows(pl.Callback):
    """Keeps the contribution of every row of the last validation to the monitored metric.

    Args:
        monitor: Name of the metric, as it is logged.

    Attributes:
        components: float32 on the CPU, of shape [n]; ``None`` where the metric is no AUC.
    """

    def __init__(self, monitor: str) -> None:
        self.monitor = monitor
        self.components: Tensor | None = None

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Read the contributions from the module's metrics, which are reset after this."""
        self.components = components_of(getattr(pl_module, "metrics", None), metric_name(self.monitor))


def metric_name(monitor: str) -> str:
    """Return the name that a model's metrics have for one that is logged under ``monitor`` in validation."""
    return monitor.removeprefix(_SPLIT)


@contextmanager
def isolated_training(seed: int, timeout: float) -> Iterator[None]:
    """Fork and seed torch's random numbers, silence Lightning and limit the time; 0 seconds set no limit.

    Raises:
        TimeoutError: When the time is over; a worker that does not react to it is ended.
    """
    with time_limit(timeout, hard=in_worker()), quiet_lightning(), torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def cpu_state(module: pl.LightningModule) -> dict[str, Tensor]:
    """Return the state of a module on the CPU."""
    return {name: value.detach().cpu() for name, value in module.state_dict().items()}
