"""Trains many losses at once: copies of the recommender in stacked tensors, under one Trainer."""

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal, cast

import pytorch_lightning as pl
from torch import Tensor

from lightning_modules.losses import BCE, Loss
from lightning_modules.populations import MeasuredPopulation, Population, UnmatchedError
from lightning_modules.populations.clipping import clipping_of
from lightning_modules.populations.trainer_matching import ENDS_ANY_TIME, OWN_CLIPPING, SINGLE_PROCESS, difference
from lightning_modules.populations.validations import BestValidations, CopyValidation, LastValidations
from lightning_modules.search.evaluation import isolated_training
from lightning_modules.search.trial import Assignment, Evaluation, GridPoint
from lightning_modules.statistics.single_metric import metric_name
from lightning_modules.training.quiet import quiet_lightning
from lightning_modules.training.trainers import TrainerFactory, fit


class GroupEvaluator(ABC):
    """Trains a group of losses under one Trainer; the scores are those of separate trainings, up to rounding.

    Args:
        trainers: Builds the group's Trainer.
        datamodule: The data of training and validation.
        monitor: Name of the metric, one of the recommender's own.
        mode: ``max`` if more of the metric is better, ``min`` otherwise.
        size: The largest number of copies that are trained at once.
        timeout: Seconds per copy after which the group is ended and counts as failed; 0 sets no limit.

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
    def population(
        self, recommender: pl.LightningModule, points: Sequence[GridPoint], validations: LastValidations
    ) -> MeasuredPopulation:
        """Return the module that trains a copy of ``recommender`` with each loss and setting.

        Raises:
            UnmatchedError: If the recommender or its optimizer cannot be matched.
        """

    def check(self, recommender: pl.LightningModule) -> None:
        """Refuse what a population cannot match, before anything is trained.

        Raises:
            UnmatchedError: If the recipe, the recommender or its optimizer cannot be matched.
        """
        with quiet_lightning():
            self._trainer("check", None, None)
        self.population(recommender, [GridPoint(BCE(), "check")], LastValidations(1))

    def evaluate(self, recommender: pl.LightningModule, assignment: Assignment) -> list[Evaluation]:
        """Train and validate a copy of ``recommender`` with each loss; ``recommender`` stays unchanged.

        Raises:
            KeyboardInterrupt: If the user interrupted the training.
            UnmatchedError: If the recipe, the recommender or its optimizer cannot be matched.
        """
        points = assignment.points
        groups = [points[first : first + self.group] for first in range(0, len(points), self.group)]
        evaluations = [each for group in groups for each in self._evaluate(recommender, group, assignment)]
        return assignment.best_of_each(evaluations)

    def _evaluate(
        self, recommender: pl.LightningModule, points: Sequence[GridPoint], assignment: Assignment
    ) -> list[Evaluation]:
        count, start = len(points), time.perf_counter()
        try:
            with isolated_training(assignment.seed, self.timeout * count):
                population = self._trained(recommender, points, assignment)
                scores = self._scores(population.validations.counted)
        except UnmatchedError:
            raise
        except Exception as error:  # an error that a formula causes is its result and does not end the search
            seconds, reason = (time.perf_counter() - start) / count, f"{type(error).__name__}: {error}"
            return [Evaluation("failed", None, seconds, reason, setting=point.setting) for point in points]
        seconds = (time.perf_counter() - start) / count
        validations = population.validations
        weights = validations.weights(population) if assignment.keep_weights else [None] * count
        found = zip(scores, population.components(), validations.best_epochs, strict=True)
        results = zip(population.errors, population.is_finite, found, weights, points, strict=True)
        return [
            replace(_evaluation(error, finite, *each), seconds=seconds, weights=own, setting=point.setting)
            for error, finite, each, own, point in results
        ]

    def _trained(
        self, recommender: pl.LightningModule, points: Sequence[GridPoint], assignment: Assignment
    ) -> MeasuredPopulation:
        """Return copies of the recommender after their training."""
        population = self.population(recommender, points, self._validations(len(points), assignment))
        trainer = self._trainer(_title(points), assignment.epochs, assignment.patience)
        self._fit(trainer, population)
        return population

    def _fit(self, trainer: pl.Trainer, population: MeasuredPopulation) -> None:
        fit(trainer, population, self.datamodule)

    def _validations(self, count: int, assignment: Assignment) -> LastValidations:
        if assignment.patience is None:
            return LastValidations(count)
        metric, patience = metric_name(self.monitor), assignment.patience
        return BestValidations(count, metric, self.mode, patience=patience, keep_weights=assignment.keep_weights)

    def _trainer(self, name: str, epochs: int | None, patience: int | None) -> pl.Trainer:
        trainer = self.trainers.build([], name, epochs=epochs, validates_once=patience is None, **OWN_CLIPPING)
        matched = self.matched if patience is None else {**self.matched, **ENDS_ANY_TIME}
        if unlike := difference(trainer, matched):
            raise UnmatchedError(
                f"a population cannot match {unlike}; change the trainer section, or train one candidate at a time"
            )
        return trainer

    def _scores(self, counted: Sequence[CopyValidation]) -> list[float]:
        metrics = {f"val/{name}" for each in counted for name in each.metrics}
        if self.monitor not in metrics:
            raise ValueError(
                f"the reward's metric '{self.monitor}' was not measured; monitor one of "
                f"{', '.join(sorted(metrics)) or 'none (nothing was measured)'}, and check that the trainer validates"
            )
        sign, name = 1 if self.mode == "max" else -1, metric_name(self.monitor)
        return [sign * each.metrics.get(name, math.nan) for each in counted]


class PopulationEvaluator(GroupEvaluator):
    """Trains a group of losses as one population of stacked tensors; see :class:`GroupEvaluator`."""

    def population(
        self, recommender: pl.LightningModule, points: Sequence[GridPoint], validations: LastValidations
    ) -> Population:
        """Return copies of ``recommender`` in stacked tensors; see :class:`GroupEvaluator`."""
        if any(point.setting is not None for point in points):
            raise UnmatchedError("stacked tensors are trained with one learning rate and weight decay for all copies")
        # Recommenders of other losses are refused by the check.
        losses, clipping = [cast(Loss, point.loss) for point in points], clipping_of(self.trainers.recipe)
        return Population(
            recommender, losses, clipping=clipping, monitor=metric_name(self.monitor), validations=validations
        )


def _evaluation(error: str, is_finite: bool, score: float, components: Tensor | None, best_epoch: int) -> Evaluation:
    if error:
        return Evaluation("failed", None, 0.0, error)
    if not (is_finite and math.isfinite(score)):
        return Evaluation("non-finite", None, 0.0)
    return Evaluation("trained", score, 0.0, components=components, epoch=best_epoch)


def _title(points: Sequence[GridPoint]) -> str:
    return points[0].name if len(points) == 1 else f"{len(points)} losses, {points[0].name}"
