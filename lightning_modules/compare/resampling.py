"""Bootstraps the test metric of the losses of a comparison."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from torch import Tensor

from lightning_modules.compare.criteria import Criterion
from lightning_modules.compare.records import ComparisonRecords
from lightning_modules.statistics.behrens_fisher import without_undefined
from lightning_modules.statistics.significance import Difference, difference
from lightning_modules.utilities.progress import working

_UNKNOWN = Difference(math.nan, math.nan, math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class Resampled:
    """The bootstrapped test metric, the same resamples for every loss.

    Attributes:
        values: The metric under every resample, float64 ``[resamples, seeds]``, by the loss's title.
        observed: The metric of the rows as they are, float64 ``[seeds]``.
        confidence: Confidence of intervals.
        seed: Seed of the draws for the spread between seeds, the same for every pair of losses.
        parts: The metrics that it is made of under the same resamples, by their names in columns.
    """

    values: Mapping[str, Tensor] = field(default_factory=dict)
    observed: Mapping[str, Tensor] = field(default_factory=dict)
    confidence: float = 0.95
    seed: int = 0
    parts: Mapping[str, "Resampled"] = field(default_factory=dict)

    def standard_error(self, title: str) -> float:
        """Return the standard error of the mean of a loss's metric; nan if the loss has none.

        Resamples without a metric, as those with a single class are, are left out as they are of differences.
        """
        if title not in self.values:
            return math.nan
        defined = without_undefined(self.values[title])
        return float(defined.mean(1).std()) if len(defined) > 1 else math.nan

    def difference(self, title: str, baseline: str) -> Difference:
        """Return a loss's difference to another; nan where there is no interval or no metric."""
        if title == baseline or title not in self.values or baseline not in self.values:
            return _UNKNOWN
        observed = self.observed[title], self.observed[baseline]
        if len(observed[0]) < 2:
            estimate = float((observed[0] - observed[1]).mean())
            return Difference(estimate, math.nan, math.nan, math.nan, math.nan)
        generator = torch.Generator().manual_seed(self.seed)
        values = self.values[title], self.values[baseline]
        return difference(*values, *observed, generator, confidence=self.confidence)


def resample(
    records: ComparisonRecords,
    criterion: Criterion,
    titles: Sequence[str],
    seeds: Sequence[int],
    *,
    by_user: bool,
    resamples: int,
    confidence: float,
    seed: int,
) -> Resampled:
    """Bootstrap the test metric of losses that were trained with all seeds.

    Args:
        records: The records with what the losses were measured for.
        criterion: What they are compared by.
        titles: The losses.
        seeds: The seeds.
        by_user: Whether to draw users with all their rows, and not single rows.
        resamples: Number of resamples.
        confidence: Confidence of intervals.
        seed: Seed of the resamples.
    """
    if not titles:
        return Resampled()
    label, user = records.rows("test")
    groups = user if by_user else torch.arange(len(label))
    scores = [records.test_scores(title, seeds) for title in titles]
    generator = torch.Generator().manual_seed(seed)
    with working("resampling test rows", resamples) as work:
        reached = partial(setattr, work, "done")
        values = criterion.bootstrap(scores, label, groups, resamples=resamples, generator=generator, progress=reached)
    observed = [criterion.observed(each, label) for each in scores]

    def resampled(choose: Callable[[Tensor], Tensor]) -> Resampled:
        drawn, whole = ([choose(each) for each in found] for found in (values, observed))
        return Resampled(dict(zip(titles, drawn, strict=True)), dict(zip(titles, whole, strict=True)), confidence, seed)

    parts = {name: resampled(partial(_part, place)) for place, name in enumerate(criterion.parts)}
    return replace(resampled(criterion.combined), parts=parts)


def _part(place: int, values: Tensor) -> Tensor:
    return values[..., place]
