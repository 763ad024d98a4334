"""Tests whether a search beat the baseline and random search on held-out data."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from lightning_modules.compare.compared_losses import RANDOM, SEARCH, SearchedLosses
from lightning_modules.compare.resampling import Resampled
from lightning_modules.compare.results import LossResult
from lightning_modules.statistics.significance import Difference, holm, resolvable_difference

#: Of a loss to itself, which nothing needs to be tested for.
NO_DIFFERENCE = Difference(0.0, 0.0, 0.0, 0.0, math.nan)


@dataclass(frozen=True)
class AuditResult:
    """The search's best formula against one opponent, on the test rows.

    Attributes:
        opponent: The name of the opponent.
        difference: The search's test metric less the opponent's.
        p_value: Two-sided, adjusted for the number of opponents.
        level: The p-value below which a difference is significant.
    """

    opponent: str
    difference: Difference
    p_value: float
    level: float

    @property
    def beaten(self) -> bool:
        """Whether the search is significantly better."""
        return self.p_value < self.level and self.difference.estimate > 0

    @property
    def words(self) -> str:
        """The outcome: beat, lost to, cannot be told apart from, or has the same loss as."""
        if _is_of_same(self.difference):
            return "has the same loss as"
        if math.isnan(self.p_value):
            return "could not be tested against"
        if self.p_value >= self.level:
            return "cannot be told apart from"
        return "beat" if self.difference.estimate > 0 else "lost to"

    @property
    def resolved(self) -> float:
        """The smallest true difference that would mostly be found."""
        return resolvable_difference(self.difference.half_width, level=self.level)

    @property
    def supports_nothing(self) -> bool:
        """Whether there is no significance, and a difference as large as the observed one would mostly go unseen."""
        return self.p_value >= self.level and abs(self.difference.estimate) < self.resolved

    @classmethod
    def of_all(cls, differences: Mapping[str, Difference], level: float) -> "tuple[AuditResult, ...]":
        """Return the results against all opponents, by their names, with p-values adjusted for their number."""
        p_values = holm([difference.p_value for difference in differences.values()])
        compared = zip(differences.items(), p_values, strict=True)
        return tuple(cls(name, difference, p_value, level) for (name, difference), p_value in compared)


class Verdict(ABC):
    """What an audit concludes.

    Attributes:
        results: One an opponent.
    """

    results: tuple[AuditResult, ...]

    @property
    def outcome(self) -> str:
        """What became of the search against each opponent, in words."""
        return " and ".join(f"{result.words} {result.opponent}" for result in self.results)

    @property
    def figures(self) -> str:
        """The difference to each opponent, in words."""
        return "; ".join(
            f"to {result.opponent} {difference_words(result.difference, result.p_value)}" for result in self.results
        )

    @property
    @abstractmethod
    def sentence(self) -> str:
        """The conclusion with its figures."""

    @abstractmethod
    def limits(self) -> Iterator[str]:
        """Yield what the conclusion does not say."""


@dataclass(frozen=True)
class Audit(Verdict):
    """A search against the baseline and, if there is one, random search with as many trained candidates.

    A search is represented by its formula with the best mean validation metric, which a user would choose; it is the
    only one that is tested on the test rows.

    Attributes:
        best: The search's formula.
        results: One an opponent.
        choices: Number of formulas that it was chosen from.
        trained_candidates: Candidates that each search has trained.
    """

    best: LossResult
    results: tuple[AuditResult, ...]
    choices: int
    trained_candidates: int

    @property
    def sentence(self) -> str:
        """The conclusion with its figures."""
        best = self.best
        value = best.mean(f"test_{best.criterion.metric}")
        return (
            f"On held-out data the search {self.outcome}: the formula that validation chooses among its best "
            f"{self.choices} ({best.loss.label}, after {self.trained_candidates} trained candidates) has a test "
            f"{best.criterion.title} of {value:.4f} ± {best.standard_error:.4f} (standard error), a difference "
            f"{self.figures}."
        )

    def limits(self) -> Iterator[str]:
        """Yield which differences are too small to be found, and that there is one search only."""
        for result in self.results:
            if result.supports_nothing:
                yield (
                    f"The difference between the search and {result.opponent}, {result.difference.estimate:+.4f}, is "
                    f"below the {result.resolved:.4f} that this split resolves: it supports no conclusion either way, "
                    "and a larger test split would be needed for one."
                )
        yield "The audit is of one search: another seed finds other formulas, which the intervals do not cover."


def audit(
    searches: Sequence[SearchedLosses],
    results: Sequence[LossResult],
    resampled: Resampled,
    trained_candidates: int,
) -> Audit | None:
    """Return the audit of a search's formulas; ``None`` if it has none, or none was trained.

    Args:
        searches: The search and, if there is one, the random search. A formula that both found is one of each.
        results: The results of all losses, the baseline first.
        resampled: Their bootstrapped test metric.
        trained_candidates: Candidates that each search has trained.
    """
    by_title = {result.loss.title: result for result in results}
    found = {search.arm: best_found(search, by_title) for search in searches}
    best, rival = found.get(SEARCH), found.get(RANDOM)
    if best is None:
        return None
    opponents = {results[0].loss.label: results[0]}
    if rival is not None:
        opponents[f"random search ({_listed(rival, by_title)})"] = rival
    differences = {name: _difference(resampled, best, each) for name, each in opponents.items()}
    tested = AuditResult.of_all(differences, 1 - resampled.confidence)
    choices = {loss.title for search in searches if search.arm == SEARCH for loss in search.losses}
    return Audit(best, tested, len(choices), trained_candidates)


def _listed(found: LossResult, results: Mapping[str, LossResult]) -> str:
    """Return the label of a search's formula, with the one in the table of losses where that is another."""
    own, listed = found.loss.label, results[found.loss.title].loss.label
    return own if own == listed else f"{own}, listed as {listed}"


def _difference(resampled: Resampled, best: LossResult, opponent: LossResult) -> Difference:
    if best.loss.title == opponent.loss.title:
        return NO_DIFFERENCE
    return resampled.difference(best.loss.title, opponent.loss.title)


def _is_of_same(difference: Difference) -> bool:
    """Return whether a difference is that of a loss to itself: known to be 0, and not tested."""
    return difference.low == difference.high == 0 and math.isnan(difference.p_value)


def difference_words(difference: Difference, p_value: float) -> str:
    """Return a difference with its interval and p-value."""
    if _is_of_same(difference):
        return "of 0, since the two are one loss"
    if math.isnan(difference.estimate):
        return "that is not known, for want of a sound training"
    if math.isnan(difference.low):
        return f"of {difference.estimate:+.4f}, without an interval"
    return (
        f"of {difference.estimate:+.4f} (interval {difference.low:+.4f} to {difference.high:+.4f}, p = {p_value:.2g})"
    )


def best_found(search: SearchedLosses, results: Mapping[str, LossResult]) -> LossResult | None:
    """Return the result of a search's formula with the best validation metric; ``None`` if none was trained.

    Args:
        search: The search.
        results: The results of all losses, by title.
    """
    best = best_of([results[loss.title] for loss in search.losses])
    if best is None:
        return None
    # A formula that is in the comparison under another name too has the name that it has in its search.
    return replace(best, loss=next(loss for loss in search.losses if loss.title == best.loss.title))


def best_of(results: Sequence[LossResult]) -> LossResult | None:
    """Return the result with the best validation metric; ``None`` if none was trained with every seed."""
    sound = [result for result in results if result.is_sound]
    return max(sound, key=lambda result: result.score, default=None)
