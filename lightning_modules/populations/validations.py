"""The validation of every copy of a population that counts: its last one, or with early stopping its best one."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from torch import Tensor


@dataclass(frozen=True)
class CopyValidation:
    """What a validation has found of one copy.

    Attributes:
        epoch: The epoch, counted from 1; 0 before the first validation.
        metrics: The metrics by name.
        logit: The logit of every row, float [n]; ``None`` before the first validation.
        weights: The copy's weights at that time as a state of the recommender; ``None`` if they are not kept.
    """

    epoch: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)
    logit: Tensor | None = None
    weights: dict[str, Tensor] | None = None


class HasWeights(Protocol):
    """Copies of a recommender."""

    def weights(self, copies: Sequence[int]) -> list[dict[str, Tensor]]:
        """Return the weights of these copies, each as a state of the recommender."""


class LastValidations:
    """Keeps the last validation of every copy, all of which are trained to the end.

    Args:
        count: Number of copies.

    Attributes:
        counted: The validation that counts, of every copy.
        running: Numbers of the copies that go on training.
        metric: Name of the metric that decides; ``None`` for none.
        keep_weights: Whether validations that count are to hold the weights.
    """

    metric: str | None = None
    keep_weights: bool = False

    def __init__(self, count: int) -> None:
        self.counted = [CopyValidation()] * count
        self.running = list(range(count))

    def counts(self, number: int, validation: CopyValidation) -> bool:  # noqa: ARG002
        """Take in a validation of a copy that runs, and return whether it counts from now on."""
        return True

    def end(self, number: int) -> None:
        """Take in that the training of a copy has failed."""

    @property
    def best_epochs(self) -> list[int]:
        """The epoch of every copy's best validation, counted from 1; 0 where the last one counts."""
        return [0] * len(self.counted)

    def weights(self, population: HasWeights) -> list[dict[str, Tensor]]:
        """Return every copy's weights at the end."""
        return population.weights(range(len(self.counted)))


class BestValidations(LastValidations):
    """Keeps the best validation of every copy, which ends after as many without a better one as patience has.

    It decides like Lightning's EarlyStopping: a metric that is not finite, or is missing, ends a copy too, and counts.

    Args:
        count: Number of copies.
        metric: Name of the metric.
        mode: Whether more (max) or less (min) of it is better.
        patience: Validations without a better metric before a copy ends.
        keep_weights: Whether the weights of the best validation are kept.

    Attributes:
        waited: Validations of every copy since its best one.
    """

    def __init__(
        self, count: int, metric: str, mode: Literal["max", "min"], *, patience: int, keep_weights: bool = False
    ) -> None:
        super().__init__(count)
        self.metric = metric
        self.sign = 1.0 if mode == "max" else -1.0
        self.patience = patience
        self.keep_weights = keep_weights
        self.waited = [0] * count

    def counts(self, number: int, validation: CopyValidation) -> bool:
        """Take in a validation of a copy that runs, end the copy if it is time, and return whether it counts."""
        score = self.score(validation)
        if not math.isfinite(score):
            self.end(number)
            return True
        before = self.counted[number]
        if not before.epoch or score > self.score(before):
            self.waited[number] = 0
            return True
        self.waited[number] += 1
        if self.waited[number] >= self.patience:
            self.end(number)
        return False

    def score(self, validation: CopyValidation) -> float:
        """Return the metric of a validation, negated where less is better; nan if it is missing."""
        return self.sign * validation.metrics.get(self.metric or "", math.nan)

    def end(self, number: int) -> None:
        """Take in that the training of a copy has ended."""
        self.running.remove(number)

    @property
    def best_epochs(self) -> list[int]:
        """The epoch of every copy's best validation, counted from 1; 0 if there is none."""
        return [validation.epoch for validation in self.counted]

    def weights(self, population: HasWeights) -> list[dict[str, Tensor]]:  # noqa: ARG002
        """Return every copy's weights of its best validation; empty ones where they were not kept."""
        return [validation.weights or {} for validation in self.counted]
