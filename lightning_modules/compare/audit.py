"""Did the search beat the baseline and random search on held-out data?"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lightning_modules.compare.entrants import RANDOM, SEARCH
from lightning_modules.compare.results import LossResult, Resampled
from lightning_modules.statistics.bootstrap import Difference
from lightning_modules.statistics.significance import holm


@dataclass(frozen=True)
class AuditResult:
    """The search's best formula against one opponent, on the test rows.

    Attributes:
        opponent: Who it is held against, in words.
        standing: The opponent.
        difference: The search's test AUC less the opponent's.
        p_value: Two-sided, adjusted for the number of opponents.
        level: The p-value below which a difference is called one.
    """

    opponent: str
    standing: LossResult
    difference: Difference
    p_value: float
    level: float

    @property
    def beaten(self) -> bool:
        """Whether the search is better than chance explains."""
        return self.p_value < self.level and self.difference.estimate > 0

    @property
    def words(self) -> str:
        """The outcome: beat, lost to, or cannot be told apart from."""
        if math.isnan(self.p_value):
            return "could not be tested against"
        if self.p_value >= self.level:
            return "cannot be told apart from"
        return "beat" if self.difference.estimate > 0 else "lost to"


@dataclass(frozen=True)
class Audit:
    """A search held against the baseline and, if there is one, random search with as many trained candidates.

    The formula that speaks for a search is the one of its formulas with the best mean validation metric, as a user
    would choose it; the test rows are looked at for that one alone.

    Attributes:
        champion: The search's formula.
        verdicts: One an opponent.
        candidates: Number of formulas that it was chosen from.
        budget: Candidates that each search has trained.
    """

    champion: LossResult
    verdicts: tuple[AuditResult, ...]
    candidates: int
    budget: int

    @property
    def sentence(self) -> str:
        """The conclusion with its figures."""
        champion = self.champion
        outcome = " and ".join(f"{verdict.words} {verdict.opponent}" for verdict in self.verdicts)
        figures = "; ".join(
            f"to {verdict.opponent} {difference_words(verdict.difference, verdict.p_value)}"
            for verdict in self.verdicts
        )
        return (
            f"On held-out data the search {outcome}: the formula that validation chooses among its best "
            f"{self.candidates} ({champion.entrant.label}, after {self.budget} trained candidates) has a test AUC of "
            f"{champion.mean('test_auc'):.4f} ± {champion.standard_error:.4f} (standard error), a difference {figures}."
        )


def audit(standings: Sequence[LossResult], resampled: Resampled, budget: int) -> Audit | None:
    """Return the audit of the searched formulas among the losses; ``None`` if there are none, or none was trained.

    Args:
        standings: All losses, the baseline first.
        resampled: The bootstrap that they come from.
        budget: Candidates that each search has trained.
    """
    champion, rival = _champion(standings, SEARCH), _champion(standings, RANDOM)
    if champion is None:
        return None
    opponents = {standings[0].entrant.label: standings[0]}
    if rival is not None:
        opponents[f"random search ({rival.entrant.label})"] = rival
    differences = [resampled.difference(champion.entrant.title, each.entrant.title) for each in opponents.values()]
    p_values = holm([difference.p_value for difference in differences])
    verdicts = tuple(
        AuditResult(name, standing, difference, p_value, 1 - resampled.confidence)
        for (name, standing), difference, p_value in zip(opponents.items(), differences, p_values, strict=True)
    )
    return Audit(champion, verdicts, len(_of(standings, SEARCH)), budget)


def difference_words(difference: Difference, p_value: float) -> str:
    """Return a difference with its interval and p-value."""
    if math.isnan(difference.estimate):
        return "that is not known, for want of a sound training"
    if math.isnan(difference.low):
        return f"of {difference.estimate:+.4f}, without an interval"
    return (
        f"of {difference.estimate:+.4f} (interval {difference.low:+.4f} to {difference.high:+.4f}, p = {p_value:.2g})"
    )


def _of(standings: Sequence[LossResult], group: str) -> list[LossResult]:
    return [standing for standing in standings if standing.entrant.group == group]


def _champion(standings: Sequence[LossResult], group: str) -> LossResult | None:
    sound = [standing for standing in _of(standings, group) if standing.is_sound]
    return max(sound, key=lambda standing: standing.score, default=None)
