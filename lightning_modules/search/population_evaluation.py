"""Trains many losses at once under one Trainer."""

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pytorch_lightning as pl
from torch import Tensor

from lightning_modules.losses import BCE, Loss
from lightning_modules.populations import Population, UnmatchedError
from lightning_modules.populations.clipping import clipping_of
from lightning_modules.search.evaluation import Assignment, Evaluation, TrainerFactory, isolated_training
from lightning_modules.search.rewards import metric_name
from lightning_modules.training.trainers import fit, quiet_lightning

# A population clips each candidate's gradients by themselves; Lightning would clip those of all together.
_OWN_CLIPPING: Mapping[str, Any] = {"gradient_clip_val": None, "gradient_clip_algorithm": None}

# Attributes of a Trainer, as they have to be.
_MATCHED: Mapping[str, Any] = {"accumulate_grad_batches": 1, "precision": "32-true", "world_size": 1, "callbacks": []}


class PopulationEvaluator:
    """Trains a group of losses at once; the scores are those of a child each, up to rounding.

    Args:
        trainer_factory: Builds the group's Trainer.
        datamodule: What children are trained and validated on.
        monitor: Name of the metric, one of the recommender's own.
        mode: ``max`` if more of the metric is better, ``min`` otherwise.
        size: How many losses are trained at once, at most.
        timeout: Seconds a child after which the group is ended and counts as failed; 0 lets it run.

    Raises:
        ValueError: If the size is below 1.
    """

    def __init__(
        self,
        trainer_factory: TrainerFactory,
        datamodule: pl.LightningDataModule,
        *,
        monitor: str = "val/auc",
        mode: Literal["max", "min"] = "max",
        size: int,
        timeout: float = 0.0,
    ) -> None:
        if size < 1:
            raise ValueError(f"a population of {size} candidates cannot be trained; use at least 1")
        self.trainer_factory = trainer_factory
        self.datamodule = datamodule
        self.monitor = monitor
        self.mode = mode
        self.group = size
        self.timeout = timeout

    def check(self, recommender: pl.LightningModule) -> None:
        """Refuse, before anything is trained, what a population cannot match.

        Raises:
            UnmatchedError: If that is the recipe, the recommender or its optimizer.
        """
        with quiet_lightning():
            self._trainer("check", None)
        self._population(recommender, [BCE()])

    def __call__(self, recommender: pl.LightningModule, assignment: Assignment) -> list[Evaluation]:
        """Train and validate a copy of ``recommender`` with each loss; the given one stays as it is.

        Raises:
            KeyboardInterrupt: If the user interrupted the training.
            UnmatchedError: If the recipe, the recommender or its optimizer cannot be matched.
        """
        count, start = len(assignment.losses), time.perf_counter()
        try:
            with isolated_training(assignment.seed, self.timeout * count):
                population = self._population(recommender, assignment.losses)
                fit(self._trainer(_title(assignment.names), assignment.epochs), population, self.datamodule)
                scores = self._scores(population)
        except UnmatchedError:
            raise
        except Exception as error:  # whatever formulas provoke is their result, not the search's end
            seconds = (time.perf_counter() - start) / count
            return [Evaluation("failed", None, seconds, f"{type(error).__name__}: {error}")] * count
        weights = population.weights() if assignment.keep_weights else [None] * count
        seconds = (time.perf_counter() - start) / count
        results = zip(population.errors, population.is_finite, scores, weights, population.components, strict=True)
        return [_evaluation(*result, seconds) for result in results]

    def _population(self, recommender: pl.LightningModule, losses: Sequence[Loss]) -> Population:
        clipping = clipping_of(self.trainer_factory.recipe)
        return Population(recommender, losses, clipping=clipping, monitor=metric_name(self.monitor))

    def _trainer(self, name: str, epochs: int | None) -> pl.Trainer:
        trainer = self.trainer_factory([], name, epochs=epochs, **_OWN_CLIPPING)
        for attribute, matched in _MATCHED.items():
            if (value := getattr(trainer, attribute)) != matched:
                raise UnmatchedError(
                    f"a population cannot match a Trainer with {attribute}={value}, only one with {matched}; change "
                    "the trainer section, or train one candidate at a time"
                )
        return trainer

    def _scores(self, population: Population) -> list[float]:
        metrics = {f"val/{name}": values for name, values in population.scores.items()}
        if self.monitor not in metrics:
            raise ValueError(
                f"the reward's metric '{self.monitor}' was not measured; monitor one of "
                f"{', '.join(sorted(metrics)) or 'none (nothing was measured)'}, and check that the trainer validates"
            )
        return metrics[self.monitor] if self.mode == "max" else [-value for value in metrics[self.monitor]]


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
