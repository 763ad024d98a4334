"""Tunes the learning rate and weight decay of a loss by grid search, extended and refined."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product

from lightning_modules.compare.training import Setting


@dataclass(frozen=True)
class Axis:
    """The grid of one hyper-parameter, on a logarithmic scale except for 0.

    Attributes:
        values: The values of the grid, rising.
    """

    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float]) -> "Axis":
        """Return the axis of some values in any order."""
        return cls(tuple(sorted(set(values))))

    @property
    def positive(self) -> tuple[float, ...]:
        """The values above 0."""
        return tuple(value for value in self.values if value > 0)

    @property
    def ratio(self) -> float:
        """The mean ratio of neighbouring values; 1 if there are fewer than two, so that steps change nothing."""
        if len(self.positive) < 2:
            return 1.0
        return math.pow(self.positive[-1] / self.positive[0], 1 / (len(self.positive) - 1))

    def beyond(self, value: float, extensions: int) -> tuple[float, ...]:
        """Return the next value beyond an end, at most this many steps beyond it; nothing if ``value`` is no end."""
        if value <= 0 or self.ratio == 1:
            return ()
        limit = self.ratio ** (extensions - 0.5)
        if self.positive[-1] <= value < self.positive[-1] * limit:
            return (_rounded(value * self.ratio),)
        # Where the grid has 0, that is its lower end.
        if 0 not in self.values and self.positive[0] / limit < value <= self.positive[0]:
            return (_rounded(value / self.ratio),)
        return ()

    def around(self, value: float, refinement: int) -> tuple[float, ...]:
        """Return the neighbours of a value that the refinement of this number, from 1 on, tries."""
        step = self.ratio ** (0.5**refinement)
        if step == 1:
            return ()
        return (_rounded(value / step), _rounded(value * step)) if value > 0 else (_rounded(self.positive[0] / step),)

    def ends(self, extensions: int) -> tuple[float, float]:
        """Return the smallest and the largest value that are tried before any refinement."""
        reach = self.ratio**extensions
        return self.values[0] / reach, self.values[-1] * reach


@dataclass(frozen=True)
class Tuning:
    """A grid that is extended where the best setting lies at an end, and then refined around the best one.

    A factor of three in a loss's weight decay matters, and the best value scales with the loss. On a coarse grid the
    order of losses would depend on where its points happen to lie.

    Attributes:
        learning_rates: Learning rates of the grid.
        weight_decays: Weight decays of the grid.
        extensions: How often an end may be moved outwards while the best setting lies there.
        refinements: How often the neighbours at half the (logarithmic) distance are tried.
    """

    learning_rates: Axis
    weight_decays: Axis
    extensions: int = 0
    refinements: int = 0

    @property
    def settings(self) -> tuple[Setting, ...]:
        """The settings of the grid."""
        return tuple(Setting(*pair) for pair in product(self.learning_rates.values, self.weight_decays.values))

    @property
    def at_least(self) -> int:
        """The number of settings that are tried for a loss whose best one is no end and has a weight decay."""
        neighbours = sum(len(axis.around(1.0, 1)) for axis in (self.learning_rates, self.weight_decays))
        return len(self.settings) + self.refinements * neighbours

    def best(self, score: Callable[[Setting], float]) -> Setting:
        """Return the setting with the highest score, the first of equals; each is scored once.

        Args:
            score: Returns a setting's score; -inf disqualifies it.
        """
        scores: dict[Setting, float] = {}

        def scored(settings: Sequence[Setting]) -> Setting:
            for setting in settings:
                if setting not in scores:
                    scores[setting] = score(setting)
            return max(scores, key=lambda setting: scores[setting])

        best = scored(self.settings)
        if scores[best] == -math.inf:
            return best
        # One hyper-parameter after the other, so that each step starts from the best of the last one.
        for _ in range(self.extensions):
            best = scored(self._decays(best, self.weight_decays.beyond(best.weight_decay, self.extensions)))
            best = scored(self._rates(best, self.learning_rates.beyond(best.learning_rate, self.extensions)))
        for refinement in range(1, self.refinements + 1):
            best = scored(self._decays(best, self.weight_decays.around(best.weight_decay, refinement)))
            best = scored(self._rates(best, self.learning_rates.around(best.learning_rate, refinement)))
        return best

    @staticmethod
    def _decays(best: Setting, values: Sequence[float]) -> list[Setting]:
        return [replace(best, weight_decay=value) for value in values]

    @staticmethod
    def _rates(best: Setting, values: Sequence[float]) -> list[Setting]:
        return [replace(best, learning_rate=value) for value in values]


def _rounded(value: float) -> float:
    # Short enough for a table; two paths to the same value must end at the same number.
    return float(f"{value:.3g}")
