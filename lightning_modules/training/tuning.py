"""Tunes the learning rate, weight decay and options of a loss by grid search, extended and refined."""

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from inspect import signature
from itertools import islice, product
from typing import Any, TypeVar

from lightning_modules.losses import LossObject

AnyLoss = TypeVar("AnyLoss", bound=LossObject)

#: The grid that every loss gets where no other is asked for, and how often it is extended and refined.
LEARNING_RATES, WEIGHT_DECAYS = (1e-3, 1e-2), (1e-5, 1e-4)
EXTENSIONS = REFINEMENTS = 2

# Halved this often, the distance between neighbours is below the three figures that are kept.
_FINEST = 12


@dataclass(frozen=True)
class Setting:
    """The hyper-parameters that are tuned for each loss.

    Attributes:
        learning_rate: Learning rate.
        weight_decay: Weight decay, in the optimizer's own meaning of it.
        options: Names and values of the loss's own options that are tuned, such as its temperature.
    """

    learning_rate: float
    weight_decay: float
    options: tuple[tuple[str, float], ...] = ()

    @property
    def values(self) -> tuple[float, ...]:
        """The values of all hyper-parameters."""
        return self.learning_rate, self.weight_decay, *(value for _, value in self.options)

    @property
    def words(self) -> str:
        """The names and values of all hyper-parameters, for a reader."""
        chosen = {"learning rate": self.learning_rate, "weight decay": self.weight_decay, **dict(self.options)}
        return ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in chosen.items())

    def value(self, name: str) -> float:
        """Return the value of a hyper-parameter."""
        found: float = dict(self.options)[name] if name in dict(self.options) else getattr(self, name)
        return found

    def having(self, name: str, value: float) -> "Setting":
        """Return this setting with another value of one hyper-parameter."""
        if name in dict(self.options):
            return replace(self, options=tuple({**dict(self.options), name: value}.items()))
        changed: dict[str, Any] = {name: value}
        return replace(self, **changed)

    def read_by(self, loss: LossObject) -> "Setting":
        """Return this setting without the options that do not change the loss."""
        if not self.options:
            # A loss of one's own need not have arguments that can be written.
            return self
        tunable = loss.tunable
        return replace(self, options=tuple((name, value) for name, value in self.options if name in tunable))

    def of_loss(self, loss: AnyLoss) -> AnyLoss:
        """Return the loss with the options of this setting that change it."""
        tuned = self.read_by(loss).options
        if not tuned:
            return loss
        spec = loss.spec()
        changed = {name: int(value) if _argument_type(loss, name) is int else value for name, value in tuned}
        return type(loss).from_spec({**spec, "init_args": {**spec["init_args"], **changed}})


@dataclass(frozen=True)
class Axis:
    """The grid of one hyper-parameter, on a logarithmic scale except for 0.

    Attributes:
        values: The values of the grid, rising.
        whole: Whether all are to be whole numbers.
    """

    values: tuple[float, ...]
    whole: bool = False

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
            return (self._rounded(value * self.ratio),)
        # Where the grid has 0, that is its lower end.
        if 0 not in self.values and self.positive[0] / limit < value <= self.positive[0]:
            return (self._rounded(value / self.ratio),)
        return ()

    def around(self, value: float, refinement: int) -> tuple[float, ...]:
        """Return the neighbours of a value that the refinement of this number, from 1 on, tries."""
        step = self.ratio ** (0.5**refinement)
        if step == 1:
            return ()
        places = (value / step, value * step) if value > 0 else (self.positive[0] / step,)
        return tuple(self._rounded(place) for place in places)

    def for_argument(self, loss: LossObject, name: str) -> "Axis":
        """Return the axis for an argument of a loss: of whole numbers where it takes these.

        Raises:
            ValueError: If the argument takes no numbers, or whole ones and a value is none.
        """
        kind = _argument_type(loss, name)
        if kind in (bool, str):
            raise ValueError(f"--compare.grid has loss.{name}, which takes no numbers for {loss.title}: leave it out")
        whole = kind is int
        if whole and (broken := [value for value in self.values if value != round(value)]):
            raise ValueError(f"--compare.grid has {broken[0]:g} for loss.{name}, which takes whole numbers")
        return replace(self, whole=whole)

    def ends(self, extensions: int) -> tuple[float, float]:
        """Return the smallest and the largest value that are tried before any refinement."""
        reach = self.ratio**extensions
        return self.values[0] / reach, self.values[-1] * reach

    def _rounded(self, value: float) -> float:
        # Short enough for a table; two paths to the same value must end at the same number.
        return float(round(value)) if self.whole else float(f"{value:.3g}")


@dataclass(frozen=True)
class Tuning:
    """A grid that is extended where the best setting lies at an end, and then refined around the best one.

    A factor of three in a loss's weight decay or temperature matters, and the best value scales with the loss. On a
    coarse grid the order of losses would depend on where its points happen to lie.

    Attributes:
        learning_rates: Learning rates of the grid.
        weight_decays: Weight decays of the grid.
        extensions: How often an end may be moved outwards while the best setting lies there.
        refinements: How often the neighbours at half the (logarithmic) distance are tried.
        options: Values of the loss's options, by their names, that are axes of the grid too.
        trials: Number of settings to try, the same for every loss: refinements go on until it is reached. None tries
            as many as the refinements take.
    """

    learning_rates: Axis
    weight_decays: Axis
    extensions: int = 0
    refinements: int = 0
    options: Mapping[str, Axis] = field(default_factory=dict)
    trials: int | None = None

    @classmethod
    def default(cls) -> "Tuning":
        """Return the tuning that every loss gets where no other is asked for."""
        return cls(Axis.of(LEARNING_RATES), Axis.of(WEIGHT_DECAYS), EXTENSIONS, REFINEMENTS)

    @property
    def axes(self) -> Mapping[str, Axis]:
        """The axes of the grid by the name of their hyper-parameter, in the order in which each is improved."""
        return {"weight_decay": self.weight_decays, "learning_rate": self.learning_rates, **self.options}

    @property
    def settings(self) -> tuple[Setting, ...]:
        """The settings of the grid."""
        values = (axis.values for axis in self.options.values())
        return tuple(
            Setting(rate, decay, tuple(zip(self.options, chosen, strict=True)))
            for rate, decay, *chosen in product(self.learning_rates.values, self.weight_decays.values, *values)
        )

    @property
    def at_least(self) -> int:
        """The number of settings that are tried for a loss whose best one is no end and has a weight decay.

        Fewer than ``trials`` where refinements cannot find so many, as there are no two values to lie between.
        """
        # Whole numbers soon have no new neighbours.
        neighbours = sum(len(axis.around(1.0, 1)) for axis in self.axes.values() if not axis.whole)
        if self.trials is not None:
            return min(self.trials, len(self.settings) + _FINEST * neighbours)
        return len(self.settings) + self.refinements * neighbours

    def of_loss(self, loss: LossObject) -> "Tuning":
        """Return the tuning of a loss: without the options that do not change it.

        Raises:
            ValueError: If its grid alone has more settings than are to be tried, or its options are no such numbers.
        """
        tunable = loss.tunable if self.options else frozenset()
        options = {name: axis.for_argument(loss, name) for name, axis in self.options.items() if name in tunable}
        tuning = replace(self, options=options)
        if self.trials is not None and len(tuning.settings) > self.trials:
            raise ValueError(
                f"--compare.trials is {self.trials}, but the grid of {loss.title} alone has {len(tuning.settings)} "
                "settings: try more, or give fewer values"
            )
        return tuning

    def best(self, train: Callable[[Sequence[Setting]], Sequence[float]]) -> Setting:
        """Return the setting with the highest score, the first of equals; each is scored once.

        Args:
            train: Returns the scores of settings, all of which may be trained at once; -inf disqualifies one.
        """
        (best,) = best_settings([self], lambda points: train([setting for _, setting in points]))
        return best

    def steps(self) -> Generator[Sequence[Setting], Sequence[float], Setting]:
        """Yield the settings to score next, receive their scores, and return the best setting; see :meth:`best`."""
        tried = _Tried(self.trials)
        best = yield from tried.best_with(self.settings)
        if tried.scores[best] == -math.inf:
            return best
        # One hyper-parameter after the other, so that each step starts from the best of the last one.
        for _ in range(self.extensions):
            for name, axis in self.axes.items():
                beyond = axis.beyond(best.value(name), self.extensions)
                best = yield from tried.best_with([best.having(name, value) for value in beyond])
        for refinement in range(1, (_FINEST if self.trials else self.refinements) + 1):
            for name, axis in self.axes.items():
                around = axis.around(best.value(name), refinement)
                best = yield from tried.best_with([best.having(name, value) for value in around])
        return best


def best_settings(
    tunings: Sequence[Tuning], train: Callable[[Sequence[tuple[int, Setting]]], Sequence[float]]
) -> list[Setting]:
    """Return the best setting of each of several tunings, which go on side by side.

    Args:
        tunings: The tunings, such as one for every loss.
        train: Returns the scores of settings, each given with the number of its tuning.
    """
    steps = {number: tuning.steps() for number, tuning in enumerate(tunings)}
    scores: dict[int, Any] = dict.fromkeys(steps)
    best: dict[int, Setting] = {}
    while steps:
        asked: dict[int, Sequence[Setting]] = {}
        for number, step in list(steps.items()):
            try:
                asked[number] = step.send(scores[number])
            except StopIteration as end:
                best[number] = end.value
                del steps[number]
        points = [(number, setting) for number, settings in asked.items() for setting in settings]
        found = iter(train(points) if points else ())
        scores = {number: list(islice(found, len(settings))) for number, settings in asked.items()}
    return [best[number] for number in range(len(tunings))]


class _Tried:
    """The settings that were scored.

    Args:
        most: The most settings to score; None for no limit.
    """

    def __init__(self, most: int | None) -> None:
        self.most = most
        self.scores: dict[Setting, float] = {}

    def best_with(self, settings: Sequence[Setting]) -> Generator[Sequence[Setting], Sequence[float], Setting]:
        """Yield the settings that are new, as far as the limit allows, and return the best one of all."""
        new = [setting for setting in dict.fromkeys(settings) if setting not in self.scores]
        if self.most is not None:
            new = new[: self.most - len(self.scores)]
        if new:
            scores = yield new
            self.scores.update(zip(new, scores, strict=True))
        return max(self.scores, key=lambda setting: self.scores[setting])


def _argument_type(loss: LossObject, name: str) -> object:
    """Return the type that an argument of a loss's class is annotated with; None where that is not known."""
    argument = signature(type(loss)).parameters.get(name)
    # An annotation may be a text, which need not be one that can be looked up.
    kinds = {"int": int, "bool": bool, "str": str}
    return None if argument is None else kinds.get(argument.annotation, argument.annotation)
