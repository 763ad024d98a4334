"""Tests whether searches beat the baseline and random search on average, counting the spread between searches."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import torch
from torch import Tensor

from lightning_modules.compare.audit import NO_DIFFERENCE, AuditResult, Verdict, best_found
from lightning_modules.compare.compared_losses import RANDOM, SEARCH, SearchedLosses
from lightning_modules.compare.criteria import Criterion
from lightning_modules.compare.resampling import Resampled
from lightning_modules.compare.results import LossResult
from lightning_modules.statistics.between_searches import ArmMetric, difference_between_searches
from lightning_modules.statistics.significance import Difference

#: Of fewer searches the spread is hardly known: Student's t with two degrees of freedom has 4.3 standard errors.
_FEW = 5


@dataclass(frozen=True)
class SearchResult:
    """What a user of one search has of it.

    Attributes:
        search: The search.
        result: That of its formula with the best validation metric; that of the baseline if it has none.
        has_formula: Whether it has one.
        difference: Its difference in the test metric to the baseline, over rows and seeds; 0 without a formula.
    """

    search: SearchedLosses
    result: LossResult
    has_formula: bool
    difference: Difference

    @property
    def found(self) -> str:
        """The formula, or why the baseline stands for the search."""
        if self.has_formula:
            return self.result.loss.label
        if self.search.found_nothing:
            reason = "nothing that beats the baseline"
        elif self.search.losses:
            reason = "no formula that could be trained"
        else:
            reason = "no formula that passes the check"
        return f"{reason}: {self.result.loss.label}"


@dataclass(frozen=True)
class ArmResult:
    """The mean over the searches of an arm.

    Attributes:
        arm: ``search`` or ``random search``.
        searches: One result a search.
        difference: The mean difference to the baseline, over rows, seeds and searches.
    """

    arm: str
    searches: tuple[SearchResult, ...]
    difference: Difference

    @property
    def spread(self) -> float:
        """The standard deviation between the searches' differences; nan of one search."""
        gaps = torch.tensor([each.difference.estimate for each in self.searches], dtype=torch.float64)
        return float(gaps.std()) if len(gaps) > 1 else math.nan

    @property
    def within(self) -> float:
        """The root mean square of the standard errors of single searches, over rows and seeds."""
        return math.sqrt(fmean(each.difference.standard_error**2 for each in self.searches))

    def mean(self, column: str) -> float:
        """Return the mean of a column of the searches' results."""
        return fmean(each.result.mean(column) for each in self.searches)


@dataclass(frozen=True)
class RepeatedAudit(Verdict):
    """Several searches against the baseline and, if there are any, several random searches.

    A search stands for what its user has of it: of its formulas the one with the best mean validation metric or, where
    it found nothing, the baseline. No search is left out, as in an analysis by intention to treat.

    Attributes:
        arms: The search and, if there is one, random search.
        results: One an opponent.
        trained_candidates: Candidates of each search that count.
    """

    arms: tuple[ArmResult, ...]
    results: tuple[AuditResult, ...]
    trained_candidates: int

    @property
    def criterion(self) -> Criterion:
        """What the searches are compared by."""
        return self.arms[0].searches[0].result.criterion

    @property
    def sentence(self) -> str:
        """The conclusion with its figures."""
        counts = " and ".join(_counted(each) for each in self.arms)
        return (
            f"Over {counts} of {self.trained_candidates} trained candidates each, the search {self.outcome} on "
            f"held-out data: a mean difference in test {self.criterion.title} {self.figures}.{self._spread()}"
        )

    def _spread(self) -> str:
        arm = self.arms[0]
        if math.isnan(arm.spread) or math.isnan(arm.within):
            return ""
        return (
            f" The standard deviation between searches is {arm.spread:.4f}; the standard error of a single one, over "
            f"rows and seeds, is {arm.within:.4f}."
        )

    def limits(self) -> Iterator[str]:
        """Yield what so few searches cannot tell."""
        for arm in self.arms:
            if len(arm.searches) < 2:
                yield (
                    f"One {arm.arm} tells nothing of the spread between searches, so that it cannot be tested against "
                    "anything: name at least two."
                )
            elif len(arm.searches) < _FEW:
                yield (
                    f"{_counted(arm)} tell little of the spread between them, which makes intervals wide: most "
                    f"differences that are there are only found with {_FEW} or more."
                )
        for result in self.results:
            if result.supports_nothing:
                yield (
                    f"The mean difference to {result.opponent}, {result.difference.estimate:+.4f}, is below the "
                    f"{result.resolved:.4f} that so many searches, seeds and test rows resolve: it supports no "
                    "conclusion either way."
                )


def _counted(arm: ArmResult) -> str:
    count = len(arm.searches)
    return f"{count} {arm.arm.removesuffix('search')}search{'es' if count > 1 else ''}"


def repeated_audit(
    searches: Sequence[SearchedLosses],
    results: Sequence[LossResult],
    resampled: Resampled,
    trained_candidates: int,
) -> RepeatedAudit:
    """Return the audit of several searches.

    Args:
        searches: The searches of both arms.
        results: The results of all losses, the baseline first.
        resampled: Their bootstrapped test metric.
        trained_candidates: Candidates of each search that count.
    """
    baseline, by_title = results[0], {result.loss.title: result for result in results}
    found = [_result(search, by_title, baseline, resampled) for search in searches]
    arms = {name: tuple(each for each in found if each.search.arm == name) for name in (SEARCH, RANDOM)}
    test = _MeanTest(resampled, baseline)
    differences = {baseline.loss.label: test.difference(arms[SEARCH])}
    if arms[RANDOM]:
        differences["random search"] = test.difference(arms[SEARCH], arms[RANDOM])
    of_arms = tuple(ArmResult(name, each, test.difference(each)) for name, each in arms.items() if each)
    return RepeatedAudit(of_arms, AuditResult.of_all(differences, 1 - resampled.confidence), trained_candidates)


def _result(
    search: SearchedLosses, results: Mapping[str, LossResult], baseline: LossResult, resampled: Resampled
) -> SearchResult:
    best = best_found(search, results)
    if best is None:
        return SearchResult(search, baseline, False, NO_DIFFERENCE)
    return SearchResult(search, best, True, resampled.difference(best.loss.title, baseline.loss.title))


@dataclass(frozen=True)
class _MeanTest:
    """Tests arms with the same resamples."""

    resampled: Resampled
    baseline: LossResult

    def difference(self, arm: Sequence[SearchResult], other: Sequence[SearchResult] = ()) -> Difference:
        """Return the mean difference of an arm to another one, or to the baseline; nan if the baseline broke.

        Where all stand for one loss, as where no search found anything, nothing is tested.
        """
        if self.baseline.loss.title not in self.resampled.values:
            return Difference(*[math.nan] * 5)
        results, opponents = [each.result for each in arm], [each.result for each in other] or [self.baseline]
        if len({result.loss.title for result in [*results, *opponents]}) == 1:
            return NO_DIFFERENCE
        first = self._arm(results, is_searched=True)
        second = self._arm(opponents, is_searched=bool(other))
        generator = torch.Generator().manual_seed(self.resampled.seed)
        return difference_between_searches(first, second, generator, confidence=self.resampled.confidence)

    def _arm(self, results: Sequence[LossResult], *, is_searched: bool) -> ArmMetric:
        values, observed = (self._stacked(each, results) for each in (self.resampled.values, self.resampled.observed))
        return ArmMetric(values, observed, is_searched)

    def _stacked(self, values: Mapping[str, Tensor], results: Sequence[LossResult]) -> Tensor:
        return torch.stack([values[result.loss.title] for result in results])
