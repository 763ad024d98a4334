"""Trains many losses at once: copies of the recommender in stacked tensors, under one Trainer."""

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import pytorch_lightning as pl
from torch import Tensor

from lightning_modules.losses import BCE, Loss
from lightning_modules.populations import MeasuredPopulation, Population, UnmatchedError
from lightning_modules.populations.clipping import clipping_of
from lightning_modules.populations.trainer_matching import SINGLE_PROCESS, difference
from lightning_modules.search.evaluation import isolated_training, metric_name
from lightning_modules.search.trial import Assignment, Evaluation
from lightning_modules.training.quiet import quiet_lightning
from lightning_modules.training.trainers import TrainerFactory, fit

# A population clips the gradients of each candidate separately; Lightning would clip those of all together.
_OWN_CLIPPING: Mapping[str, Any] = {"gradient_clip_val": None, "gradient_clip_algorithm": None}


class GroupEvaluator(ABC):
    """Trains a group of losses under one Trainer; the scores are those of separate trainings, up to rounding.

    Args:
        trainers: Builds the group's Trainer.
        datamodule: The data of training and validation.
        monitor: Name of the metric, one of the recommender's own.
        mode: ``max`` if more of the metric is better, ``min`` otherwise.
        size: The largest number of losses that are trained at once.
        timeout: Seconds per loss after which the group is ended and counts as failed; 0 sets no limit.

    Raises:
        ValueError: If the size is below 1.
    """

    #: The values that these attributes of a Trainer must have, apart from no callbacks.
    matched: ClassVar[Mapping[str, Any]] = SINGLE_PROCESS

    def __init__(
        self,
        trainers: TrainerFactory,
        datamodule: pl.LightningDataModule,
        *,
        monitor: str = "val/auc",
        mode: Literal["max", "min"] = "max",
        size: int,
        timeout: float = 0.0,
    ) -> None:
        if size < 1:
            raise ValueError(f"a population of {size} candidates cannot be trained; use at least 1")
        self.trainers = trainers
        self.datamodule = datamodule
        self.monitor = monitor
        self.mode = mode
        self.group = size
        self.timeout = timeout

    @abstractmethod
    def population(self, recommender: pl.LightningModule, losses: Sequence[Loss]) -> MeasuredPopulation:
        """Return the module that trains a copy of ``recommender`` with each loss.

        Raises:
            UnmatchedError: If the recommender or its optimizer cannot be matched.
        """

    def training_data(self) -> pl.LightningDataModule:
        """Return the data module for the Trainer."""
        return self.datamodule

    def check(self, recommender: pl.LightningModule) -> None:
        """Refuse what a population cannot match, before anything is trained.

        Raises:
            UnmatchedError: If the recipe, the recommender or its optimizer cannot be matched.
        """
        with quiet_lightning():
            self._trainer("check", None)
        self.population(recommender, [BCE()])

    def evaluate(self, recommender: pl.LightningModule, assignment: Assignment) -> list[Evaluation]:
        """Train and validate a copy of ``recommender`` with each loss; ``recommender`` stays unchanged.

        Raises:
            KeyboardInterrupt: If the user interrupted the training.
            UnmatchedError: If the recipe, the recommender or its optimizer cannot be matched.
        """
        count, start = len(assignment.losses), time.perf_counter()
        try:
            with isolated_training(assignment.seed, self.timeout * count):
                population = self.population(recommender, assignment.losses)
                fit(self._trainer(_title(assignment.names), assignment.epochs), population, self.training_data())
                scores = self._scores(population)
        except UnmatchedError:
            raise
        except Exception as error:  # an error that a formula causes is its result and does not end the search
            seconds = (time.perf_counter() - start) / count
            return [Evaluation("failed", None, seconds, f"{type(error).__name__}: {error}")] * count
        weights = population.weights() if assignment.keep_weights else [None] * count
        seconds = (time.perf_counter() - start) / count
        results = zip(population.errors, population.is_finite, scores, weights, population.components, strict=True)
        return [_evaluation(*result, seconds) for result in results]

    def _trainer(self, name: str, epochs: int | None) -> pl.Trainer:
        trainer = self.trainers.build([], name, epochs=epochs, **_OWN_CLIPPING)
        if unlike := difference(trainer, self.matched):
            raise UnmatchedError(
                f"a population cannot match {unlike}; change the trainer section, or train one candidate at a time"
            )
        return trainer

    def _scores(self, population: MeasuredPopulation) -> list[float]:
        metrics = {f"val/{name}": values for name, values in population.copy_metrics.items()}
        if self.monitor not in metrics:
            raise ValueError(
                f"the reward's metric '{self.monitor}' was not measured; monitor one of "
                f"{', '.join(sorted(metrics)) or 'none (nothing was measured)'}, and check that the trainer validates"
            )
        return metrics[self.monitor] if self.mode == "max" else [-value for value in metrics[self.monitor]]


class PopulationEvaluator(GroupEvaluator):
    """Trains a group of losses as one population of stacked tensors; see :class:`GroupEvaluator`."""

    def population(self, recommender: pl.LightningModule, losses: Sequence[Loss]) -> Population:
        """Return copies of ``recommender`` in stacked tensors; see :class:`GroupEvaluator`."""
        clipping = clipping_of(self.trainers.recipe)
        return Population(recommender, losses, clipping=clipping, monitor=metric_name(self.monitor))


def _evaluation(
    error: str,
    is_finite: bool,
    score: float,
    weights: dict[str, Tensor] | None,
    components: Tensor | None,
    seconds: float,
) -> Evaluation:
    if error:
        return Evaluation("failed", None, seconds, error)
    if not (is_finite and math.isfinite(score)):
        return Evaluation("non-finite", None, seconds, weights=weights)
    return Evaluation("trained", score, seconds, weights=weights, components=components)


def _title(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{len(names)} losses, {names[0]}"
