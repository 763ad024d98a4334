"""What the trainings of a comparison say of each loss, and of its difference to the baseline."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import pandas as pd
import torch
from torch import Tensor

from lightning_modules.compare.entrants import Entrant
from lightning_modules.compare.records import ComparisonRecords
from lightning_modules.statistics.auc import weighted_auc
from lightning_modules.statistics.bootstrap import Difference, bootstrap_aucs, difference
from lightning_modules.statistics.significance import holm
from lightning_modules.training.convergence import TRAINED, Setting
from lightning_modules.utilities.progress import working

_UNKNOWN = Difference(math.nan, math.nan, math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class LossResult:
    """One loss after all its trainings.

    Attributes:
        entrant: The loss.
        setting: The setting that was chosen for it.
        runs: Its rows of ``results.csv``, one a seed.
        proper: Whether the loss is a strictly proper scoring rule, so that its log-loss means something.
        standard_error: Standard error of its mean test AUC over the draw of the test rows.
        difference: Its difference in test AUC to the baseline; all nan for the baseline itself, after a divergence,
            and, but for the estimate, where there is one seed only.
        p_value: The difference's p-value, adjusted for the number of losses.
    """

    entrant: Entrant
    setting: Setting
    runs: pd.DataFrame
    proper: bool
    standard_error: float
    difference: Difference
    p_value: float

    @property
    def broken_seeds(self) -> list[int]:
        """The seeds whose training diverged or failed."""
        return [int(seed) for seed in self.runs.loc[self.runs["status"] != TRAINED, "seed"]]

    @property
    def is_sound(self) -> bool:
        """Whether every seed was trained; only then do means over the seeds say anything."""
        return not self.broken_seeds

    @property
    def score(self) -> float:
        """Mean validation metric over the seeds, negated where less is better; -inf after a divergence."""
        return float(self.runs["score"].mean()) if self.is_sound else -math.inf

    def mean(self, column: str) -> float:
        """Return a column's mean over the seeds; nan after a divergence, which is not averaged away."""
        return float(self.runs[column].mean()) if self.is_sound and column in self.runs else math.nan

    def spread(self, column: str) -> float:
        """Return a column's standard deviation over the seeds; nan for one seed or after a divergence."""
        return float(self.runs[column].std()) if self.is_sound and column in self.runs else math.nan


@dataclass(frozen=True)
class Resampled:
    """Bootstrapped test AUCs, the same resamples for every loss.

    Attributes:
        aucs: Test AUCs under every resample, float64 ``[resamples, seeds]``, by the loss's title.
        observed: Test AUCs of the rows as they are, float64 ``[seeds]``.
        confidence: Confidence of intervals.
        seed: Seed of the resampled seeds, the same for every pair of losses.
    """

    aucs: Mapping[str, Tensor] = field(default_factory=dict)
    observed: Mapping[str, Tensor] = field(default_factory=dict)
    confidence: float = 0.95
    seed: int = 0

    def standard_error(self, title: str) -> float:
        """Return the standard error of a loss's mean test AUC; nan if the loss has none."""
        return float(self.aucs[title].mean(1).std()) if title in self.aucs else math.nan

    def difference(self, title: str, baseline: str) -> Difference:
        """Return a loss's difference to another; nan where there is no interval or no AUC."""
        if title == baseline or title not in self.aucs or baseline not in self.aucs:
            return _UNKNOWN
        observed = self.observed[title], self.observed[baseline]
        if len(observed[0]) < 2:
            estimate = float((observed[0] - observed[1]).mean())
            return Difference(estimate, math.nan, math.nan, math.nan, math.nan)
        generator = torch.Generator().manual_seed(self.seed)
        aucs = self.aucs[title], self.aucs[baseline]
        return difference(*aucs, *observed, generator, confidence=self.confidence)


def resample(
    records: ComparisonRecords,
    titles: Sequence[str],
    seeds: Sequence[int],
    *,
    by_user: bool,
    resamples: int,
    confidence: float,
    seed: int,
) -> Resampled:
    """Bootstrap the test AUCs of losses that were trained with all seeds.

    Args:
        records: Where their predictions are.
        titles: The losses.
        seeds: The seeds.
        by_user: Whether users are drawn with all their rows, or rows.
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
        aucs = bootstrap_aucs(scores, label, groups, resamples=resamples, generator=generator, progress=reached)
    once = [torch.cat([weighted_auc(score, label, label.new_ones(1, len(label))) for score in each]) for each in scores]
    return Resampled(dict(zip(titles, aucs, strict=True)), dict(zip(titles, once, strict=True)), confidence, seed)


def standings(
    entrants: Sequence[Entrant],
    settings: Mapping[str, Setting],
    runs: Mapping[str, pd.DataFrame],
    proper: Mapping[str, bool],
    resampled: Resampled,
) -> list[LossResult]:
    """Put together what is known of each loss, the baseline first.

    Args:
        entrants: The losses, the baseline first.
        settings: The chosen setting of each, by title.
        runs: The rows of ``results.csv`` of each, by title.
        proper: Whether each is a strictly proper scoring rule, by title.
        resampled: The bootstrap.
    """
    baseline = entrants[0].title
    differences = [resampled.difference(entrant.title, baseline) for entrant in entrants]
    adjusted = holm([each.p_value for each in differences])
    return [
        LossResult(
            entrant=entrant,
            setting=settings[entrant.title],
            runs=runs[entrant.title],
            proper=proper[entrant.title],
            standard_error=resampled.standard_error(entrant.title),
            difference=difference,
            p_value=p_value,
        )
        for entrant, difference, p_value in zip(entrants, differences, adjusted, strict=True)
    ]
