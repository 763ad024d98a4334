"""Looks for the learning rate and weight decay that a loss does best with."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product

from lightning_modules.training.convergence import Setting


@dataclass(frozen=True)
class Axis:
    """The values of one hyper-parameter, on a logarithmic scale but for 0.

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
        """The mean ratio of neighbouring values; 1, which leaves every value as it is, if there are not two."""
        if len(self.positive) < 2:
            return 1.0
        return math.pow(self.positive[-1] / self.positive[0], 1 / (len(self.positive) - 1))

    def beyond(self, value: float, extensions: int) -> tuple[float, ...]:
        """Return the next value beyond an end, so many times at most; nothing if ``value`` is not an end."""
        if value <= 0 or self.ratio == 1:
            return ()
        limit = self.ratio ** (extensions - 0.5)
        if self.positive[-1] <= value < self.positive[-1] * limit:
            return (_rounded(value * self.ratio),)
        # Where the grid has 0, that is its end below.
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
    """A grid that follows the best setting beyond its ends and is then refined around it.

    A loss's best weight decay is as sharp as a factor of three and moves with the loss's scale, so on a coarse grid
    losses win and lose by where its points happen to lie.

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
        """The number of settings that are tried for a loss whose best one is no end and not without weight decay."""
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
        # One hyper-parameter after the other, so that each move starts from the last one's gain.
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
    # Short enough for a table; two ways to the same place must end at the same number.
    return float(f"{value:.3g}")
