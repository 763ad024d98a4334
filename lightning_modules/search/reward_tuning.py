"""Tuned rewards: the baseline's best learning rate, weight decay and temperature, and the grid around for all."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product

from lightning_modules.losses import LossObject
from lightning_modules.search.trial import Regime
from lightning_modules.training.tuning import Axis, Setting, Tuning

#: The option of losses that is tuned where temperatures are given.
TUNED_OPTION = "temperature"


@dataclass(frozen=True)
class RewardTuning:
    """How trials are tuned, so that their rewards compare losses and not how well a setting suits them.

    The baseline is tuned first, on a grid. Then the baseline, the hand-made losses and all candidates are trained with
    the same few settings around its best one, and the best of them counts for each.

    Args:
        learning_rates: Learning rates of the baseline's grid.
        weight_decays: Weight decays of the baseline's grid.
        temperatures: Temperatures of the baseline's grid, for losses that divide scores by one; none leaves every loss
            its own.
        extensions: How often the baseline's grid goes on beyond an end, while the best setting lies there.
        refinements: How often the neighbours of the baseline's best setting at half the distance are tried.
        learning_rate_factors: Learning rates of every trial, as multiples of the baseline's best one.
        weight_decay_factors: Weight decays of every trial, as multiples of the baseline's best one, or of the smallest
            positive one of its grid if 0 is the best.
        temperature_factors: Temperatures of every trial, as multiples of the baseline's best one, where that is tuned.
        patience: Validations without a better metric before a training ends; the best one counts.
        retrained_share: The share of the best candidates so far that are trained again with another seed, before the
            strategy is told the mean of both rewards; 0 retrains none.
    """

    learning_rates: list[float] = field(default_factory=lambda: [1e-3, 3e-3, 1e-2])
    weight_decays: list[float] = field(default_factory=lambda: [0.0, 1e-5, 1e-4])
    temperatures: list[float] = field(default_factory=list)
    extensions: int = 1
    refinements: int = 1
    learning_rate_factors: list[float] = field(default_factory=lambda: [0.4, 1.0])
    weight_decay_factors: list[float] = field(default_factory=lambda: [0.0, 0.3, 1.0, 3.0])
    temperature_factors: list[float] = field(default_factory=lambda: [1.0])
    patience: int = 3
    retrained_share: float = 0.1

    def __post_init__(self) -> None:
        """Refuse numbers that make no grid.

        Raises:
            ValueError: If a number is out of its range, or there is none.
        """
        for name in ("learning_rates", "learning_rate_factors", "temperature_factors"):
            _check(name, getattr(self, name), least=math.ulp(0.0), words="positive numbers")
        for name in ("weight_decays", "weight_decay_factors"):
            _check(name, getattr(self, name), least=0.0, words="numbers from 0 on")
        if self.temperatures:
            _check("temperatures", self.temperatures, least=math.ulp(0.0), words="positive numbers")
        for name, least in (("extensions", 0), ("refinements", 0), ("patience", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"--search.tuning.{name} is {getattr(self, name)}, but is at least {least}")
        if not 0 <= self.retrained_share < 1:
            raise ValueError(f"--search.tuning.retrained_share is {self.retrained_share}, but a share lies in [0, 1)")

    @property
    def of_baseline(self) -> Tuning:
        """The tuning of the baseline."""
        rates, decays = Axis.of(self.learning_rates), Axis.of(self.weight_decays)
        options = {TUNED_OPTION: Axis.of(self.temperatures)} if self.temperatures else {}
        return Tuning(rates, decays, self.extensions, self.refinements, options)

    def check_loss(self, baseline: LossObject) -> None:
        """Refuse temperatures for a baseline without one.

        Raises:
            ValueError: If that is so.
        """
        if self.temperatures and TUNED_OPTION not in baseline.init_args():
            raise ValueError(
                f"--search.tuning.temperatures are {self.temperatures}, but the baseline {baseline.title} has no "
                "temperature: leave them out"
            )

    def alone(self, setting: Setting) -> Regime:
        """Return how a trial is trained with one setting."""
        return Regime((setting,), self.patience)

    def around(self, best: Setting) -> Regime:
        """Return how a trial is trained with the grid around the baseline's best setting, which comes first in it."""
        unit = best.weight_decay or min(Axis.of(self.weight_decays).positive, default=0.0)
        factors = product(self.learning_rate_factors, self.weight_decay_factors, self.temperature_factors)
        grid = (
            Setting(
                _rounded(best.learning_rate * rate),
                _rounded(unit * decay),
                tuple((name, _rounded(value * heat)) for name, value in best.options),
            )
            for rate, decay, heat in factors
        )
        return Regime(tuple(dict.fromkeys((best, *grid))), self.patience)


def _check(name: str, values: Sequence[float], *, least: float, words: str) -> None:
    if not values or not all(least <= value < math.inf for value in values):
        raise ValueError(f"--search.tuning.{name} are {values}, but need to be {words}")


def _rounded(value: float) -> float:
    # As those of the baseline's grid, so that equal settings are the same.
    return float(f"{value:.3g}")
