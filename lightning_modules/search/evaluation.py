"""Trains one child: a copy of the recommender with one loss, under a Trainer of its own."""

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import pytorch_lightning as pl
import torch

from callbacks.reward import RewardCallback
from lightning_modules.losses import Loss
from lightning_modules.recipes import fit, quiet_lightning

#: Builds a new Trainer with one more callback; the text names what it trains, for those who log it.
TrainerFactory = Callable[[RewardCallback, str], pl.Trainer]


@dataclass(frozen=True)
class Evaluation:
    """What became of one child.

    Attributes:
        status: ``trained``, ``non-finite`` or ``failed``.
        score: The monitored metric after training, negated where less is better; ``None`` unless the child was trained.
        seconds: Wall time.
        error: The exception of a failed child, empty otherwise.
        model: The trained child; ``None`` if it failed.
    """

    status: str
    score: float | None
    seconds: float
    error: str = ""
    model: pl.LightningModule | None = None


class ChildEvaluator:
    """Evaluates losses under one budget: same start, same batches, same number of steps.

    A child depends on nothing but its loss, the recommender's weights and the seed. It works on any module with a
    ``loss`` attribute that logs the monitored metric in validation.

    Args:
        trainer_factory: Builds a child's Trainer.
        datamodule: What children are trained and validated on.
        monitor: Name of the metric.
        mode: ``max`` if more of the metric is better, ``min`` otherwise.
    """

    def __init__(
        self,
        trainer_factory: TrainerFactory,
        datamodule: pl.LightningDataModule,
        *,
        monitor: str = "val/auc",
        mode: Literal["max", "min"] = "max",
    ) -> None:
        self.trainer_factory = trainer_factory
        self.datamodule = datamodule
        self.monitor = monitor
        self.mode = mode

    def __call__(self, recommender: pl.LightningModule, loss: Loss, *, name: str, seed: int) -> Evaluation:
        """Train and validate a copy of ``recommender`` with ``loss``; the given one stays as it is.

        Raises:
            KeyboardInterrupt: If the user interrupted the child.
        """
        child = copy.deepcopy(recommender)
        child.loss = loss
        reward = RewardCallback(self.monitor, self.mode)
        start = time.perf_counter()
        try:
            with quiet_lightning(), torch.random.fork_rng():
                torch.manual_seed(seed)
                self._fit(child, reward, name)
        except Exception as error:  # whatever a formula provokes is its result, not the search's end
            return Evaluation("failed", None, time.perf_counter() - start, f"{type(error).__name__}: {error}")
        score = reward.reward if reward.status == "trained" else None
        return Evaluation(reward.status, score, time.perf_counter() - start, model=child)

    def measure(self, recommender: pl.LightningModule) -> float:
        """Return the score of the recommender as it is, without training; -inf where it has none.

        Raises:
            ValueError: If the monitored metric is not logged.
        """
        with quiet_lightning():
            trainer = self.trainer_factory(RewardCallback(self.monitor, self.mode), "start")
            (metrics,) = trainer.validate(copy.deepcopy(recommender), datamodule=self.datamodule, verbose=False)
        if self.monitor not in metrics:
            raise ValueError(
                f"'{self.monitor}' is not logged in validation; monitor one of {', '.join(sorted(metrics))}"
            )
        score = metrics[self.monitor] if self.mode == "max" else -metrics[self.monitor]
        return score if math.isfinite(score) else -math.inf

    def _fit(self, child: pl.LightningModule, reward: RewardCallback, name: str) -> None:
        fit(self.trainer_factory(reward, name), child, self.datamodule)
