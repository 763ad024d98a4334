"""Trains one child: a copy of the recommender with one loss, under a Trainer of its own."""

import copy
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import pytorch_lightning as pl
import torch
from torch import Tensor

from callbacks.reward import RewardCallback
from lightning_modules.losses import Loss
from lightning_modules.losses.contract import given_by
from lightning_modules.search.executors import in_worker
from lightning_modules.search.rewards import RewardRows
from lightning_modules.training.trainers import fit, quiet_lightning
from lightning_modules.utilities.signals import time_limit


@dataclass(frozen=True)
class Evaluation:
    """What became of one child.

    Attributes:
        status: ``trained``, ``non-finite`` or ``failed``.
        score: The monitored metric after training, negated where less is better; ``None`` unless the child was trained.
        seconds: Wall time.
        error: The exception of a failed child, empty otherwise.
        weights: State of the trained child, on the CPU; ``None`` unless it was asked for.
        components: What every reward row adds to the score, float32 [n]; ``None`` unless that is an AUC.
        standard_error: Of the score less that of the baseline, over the draw of the reward rows; ``None`` where it is
            not known.
    """

    status: str
    score: float | None
    seconds: float
    error: str = ""
    weights: dict[str, Tensor] | None = None
    components: Tensor | None = None
    standard_error: float | None = None


@dataclass(frozen=True)
class Assignment:
    """What is trained in one go.

    Attributes:
        losses: The losses, each of which gets a child of its own.
        names: What to call them in logs.
        seed: Of every child.
        epochs: How long to train; ``None`` as long as the Trainer's recipe says.
        keep_weights: Whether the evaluations hold the children's weights.
    """

    losses: tuple[Loss, ...]
    names: tuple[str, ...]
    seed: int
    epochs: int | None = None
    keep_weights: bool = False


class TrainerFactory(Protocol):
    """Builds a new Trainer from one recipe.

    Attributes:
        recipe: Arguments of the Trainer.
    """

    @property
    def recipe(self) -> Mapping[str, Any]: ...  # noqa: D102 (described above)

    def __call__(
        self, callbacks: Sequence[pl.Callback], name: str, *, epochs: int | None = None, **settings: Any
    ) -> pl.Trainer:
        """Return a Trainer with further callbacks.

        Args:
            callbacks: They come after those of the recipe.
            name: What it trains, for those who log it.
            epochs: Goes before the recipe's number of epochs.
            settings: Arguments that go before the recipe's.
        """


class Evaluator(Protocol):
    """Trains losses under one budget: same start, same batches, same number of steps.

    Attributes:
        group: How many losses one call trains at most.
    """

    group: int

    def check(self, recommender: pl.LightningModule) -> None:
        """Refuse, before anything is trained, what the evaluator cannot do as it is to be done.

        Raises:
            ValueError: If that is so.
        """

    def __call__(self, recommender: pl.LightningModule, assignment: Assignment) -> list[Evaluation]:
        """Train a child of ``recommender``, which stays as it is, for every loss; return what became of them."""


class TrialEvaluator:
    """Trains a child at a time.

    A child depends on nothing but its loss, the recommender's weights, the seed and the number of epochs. It works on
    any module that says what it ``gives`` its ``loss`` and logs the monitored metric in validation.

    Args:
        trainer_factory: Builds a child's Trainer.
        datamodule: What children are trained and validated on.
        monitor: Name of the metric.
        mode: ``max`` if more of the metric is better, ``min`` otherwise.
        timeout: Seconds after which a child is ended and counts as failed; 0 lets it run.
    """

    group = 1

    def __init__(
        self,
        trainer_factory: TrainerFactory,
        datamodule: pl.LightningDataModule,
        *,
        monitor: str = "val/auc",
        mode: Literal["max", "min"] = "max",
        timeout: float = 0.0,
    ) -> None:
        self.trainer_factory = trainer_factory
        self.datamodule = datamodule
        self.monitor = monitor
        self.mode = mode
        self.timeout = timeout

    def check(self, recommender: pl.LightningModule) -> None:
        """Refuse a recommender without a loss, or one that does not say what it gives it."""
        given_by(recommender)

    def __call__(self, recommender: pl.LightningModule, assignment: Assignment) -> list[Evaluation]:
        """Train and validate a copy of ``recommender`` with each loss; the given one stays as it is.

        Raises:
            KeyboardInterrupt: If the user interrupted a child.
        """
        losses = zip(assignment.losses, assignment.names, strict=True)
        return [self._evaluate(recommender, loss, name, assignment) for loss, name in losses]

    def measure(self, recommender: pl.LightningModule) -> float:
        """Return the score of the recommender as it is, without training; -inf where it has none.

        Raises:
            ValueError: If the monitored metric is not logged.
        """
        with quiet_lightning():
            trainer = self.trainer_factory([RewardCallback(self.monitor, self.mode)], "start")
            # A copy, since the Trainer stays with the data that it was given, and would travel to workers with it.
            data = copy.copy(self.datamodule)
            (metrics,) = trainer.validate(copy.deepcopy(recommender), datamodule=data, verbose=False)
        if self.monitor not in metrics:
            raise ValueError(
                f"'{self.monitor}' is not logged in validation; monitor one of {', '.join(sorted(metrics))}"
            )
        score = metrics[self.monitor] if self.mode == "max" else -metrics[self.monitor]
        return score if math.isfinite(score) else -math.inf

    def _evaluate(self, recommender: pl.LightningModule, loss: Loss, name: str, assignment: Assignment) -> Evaluation:
        child = copy.deepcopy(recommender)
        child.loss = loss
        reward, rows = RewardCallback(self.monitor, self.mode), RewardRows(self.monitor)
        start = time.perf_counter()
        try:
            with isolated_training(assignment.seed, self.timeout):
                self._fit(child, [reward, rows], name, assignment.epochs)
        except Exception as error:  # whatever a formula provokes is its result, not the search's end
            return Evaluation("failed", None, time.perf_counter() - start, f"{type(error).__name__}: {error}")
        trained = reward.status == "trained"
        weights = cpu_state(child) if assignment.keep_weights else None
        return Evaluation(
            reward.status,
            reward.reward if trained else None,
            time.perf_counter() - start,
            weights=weights,
            components=rows.components if trained else None,
        )

    def _fit(self, child: pl.LightningModule, callbacks: list[pl.Callback], name: str, epochs: int | None) -> None:
        fit(self.trainer_factory(callbacks, name, epochs=epochs), child, self.datamodule)


@contextmanager
def isolated_training(seed: int, timeout: float) -> Iterator[None]:
    """Train with random numbers of one's own, in silence and within a time limit, 0 seconds being none.

    Raises:
        TimeoutError: When the time is over; a worker that does not react to it is ended.
    """
    with time_limit(timeout, hard=in_worker()), quiet_lightning(), torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def cpu_state(module: pl.LightningModule) -> dict[str, Tensor]:
    """Return the state of a module on the CPU."""
    return {name: value.detach().cpu() for name, value in module.state_dict().items()}
