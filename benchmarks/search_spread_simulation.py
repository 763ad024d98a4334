"""Does an audit of several searches find differences where there are none, and how many of those that there are?

Simulates the test metric of what n searches found, which varies by row, by training seed, by search, and by these
together, and tests their mean as ``compare --study A B C`` does, and by searches alone, with rows and seeds as given:

    python -m benchmarks.search_spread_simulation
"""

import math
from typing import NamedTuple

import torch
from jsonargparse import auto_cli
from scipy import stats
from torch import Tensor

from benchmarks.common.report import table, write_report
from lightning_modules.statistics.between_searches import ArmMetric, difference_between_searches

SEARCHES = (2, 3, 5, 10)
LEVEL = 0.05
#: True gap, in standard errors of the mean gap, at which power is measured: a test that knew them would have .85.
GAP = 3.0


class SearchSpreads(NamedTuple):
    """Standard deviations by row, by seed, by search, and of one search by row and by seed."""

    row: float
    seed: float
    search: float
    own_row: float
    own_seed: float

    def variance(self, searches: int, seeds: int) -> float:
        """Return the variance of the mean over so many searches that is theirs alone."""
        return (self.search**2 + self.own_row**2 + self.own_seed**2 / seeds) / searches

    def __str__(self) -> str:
        return ", ".join(f"{each:g}" for each in self)


SPREADS = [
    SearchSpreads(*each) for each in ((1, 0.3, 0.3, 0.3, 0.3), (0.5, 0.3, 0.5, 0.5, 0.5), (0.3, 0.3, 1, 0.3, 0.3))
]


def drawn(spreads: SearchSpreads, searches: int, seeds: int, resamples: int, generator: torch.Generator) -> Tensor:
    """Return the metric of searches without what all losses share, [searches, 1 + resamples, seeds].

    The first is that of the rows as they are, about which the resamples vary.
    """

    def noise(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    rows = spreads.own_row * noise(searches, 1 + resamples, 1)
    rows[:, 1:] += rows[:, :1]
    return rows + spreads.search * noise(searches, 1, 1) + spreads.own_seed * noise(searches, 1, seeds)


def shared(spreads: SearchSpreads, seeds: int, resamples: int, generator: torch.Generator) -> Tensor:
    """Return what rows and seeds do to the gap of all searches, [1 + resamples, seeds]."""
    rows = spreads.row * torch.randn(1 + resamples, 1, generator=generator, dtype=torch.float64)
    rows[1:] += rows[:1].clone()
    return rows + spreads.seed * torch.randn(1, seeds, generator=generator, dtype=torch.float64)


def significant(gap: Tensor, other: Tensor, *, is_searched: bool, generator: torch.Generator) -> list[bool]:
    """Return whether each method calls the mean of searches different from that of the others."""
    arms = ArmMetric(gap[:, 1:], gap[:, 0]), ArmMetric(other[:, 1:], other[:, 0], is_searched)
    means, others = (each[:, 0].mean(1).numpy() for each in (gap, other))
    alone = stats.ttest_ind(means, others, equal_var=False) if is_searched else stats.ttest_1samp(means, others[0])
    return [difference_between_searches(*arms, generator).p_value < LEVEL, bool(alone.pvalue < LEVEL)]


def measured(
    spreads: SearchSpreads, searches: int, seeds: int, trials: int, resamples: int, *, is_searched: bool, seed: int
) -> list[str]:
    """Return the shares of differences found where there is none, and where there is one, a method each."""
    generator, counts = torch.Generator().manual_seed(seed), torch.zeros(2, 2)
    arms = 2 if is_searched else 1
    variance = spreads.row**2 + spreads.seed**2 / seeds + arms * spreads.variance(searches, seeds)
    for _ in range(trials):
        gap = drawn(spreads, searches, seeds, resamples, generator) + shared(spreads, seeds, resamples, generator)
        other = drawn(spreads, searches, seeds, resamples, generator) if is_searched else torch.zeros_like(gap[:1])
        for row, true in enumerate((0.0, GAP * math.sqrt(variance))):
            found = significant(gap + true, other, is_searched=is_searched, generator=generator)
            counts[row] += torch.tensor(found)
    return [f"{share:.3f}" for share in (counts / trials).T.flatten().tolist()]


def main(trials: int = 1000, seeds: int = 5, resamples: int = 300, seed: int = 0) -> None:
    """Simulate and write the table.

    Args:
        trials: Audits a setting.
        seeds: Training seeds of every loss.
        resamples: Resamples of the rows.
        seed: Of all random numbers.
    """
    rows = []
    for spreads in SPREADS:
        for searches in SEARCHES:
            for is_searched, opponent in ((False, "one loss"), (True, "as many searches")):
                shares = measured(spreads, searches, seeds, trials, resamples, is_searched=is_searched, seed=seed)
                rows.append([str(spreads), str(searches), opponent, *shares])
                print(*rows[-1], flush=True)
    methods = [f"{method}: {what}" for method in ("compare", "searches alone") for what in ("P(p < .05)", "power")]
    spread = "spreads by row, seed, search, search and row, search and seed"
    write_report(
        "search_spread_simulation",
        title="Audits of several searches: differences that are none, and those that are found",
        parts=[
            f"{trials:,} audits a setting with {seeds} training seeds and {resamples} resamples. Two standard errors "
            f"of a share of .05 are {2 * math.sqrt(LEVEL * (1 - LEVEL) / trials):.3f}. Power: share of true gaps of "
            f"{GAP:g} standard errors that are found; a test that knew that error would find .85. Searches alone: "
            "Student's t of the searches' means, or Welch's for two arms, with rows and seeds taken as given.",
            table([spread, "searches", "against", *methods], rows),
        ],
    )


if __name__ == "__main__":
    auto_cli(main)
