"""Does a comparison find differences where there are none, and how many of those that there are?

Simulates gaps in AUC between a loss and the baseline that vary by row, by seed, and by both together, and tests them as
``compare`` does and in other ways; then the same with scores, whose AUCs are bootstrapped:

    python -m benchmarks.significance_simulation
"""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from jsonargparse import auto_cli
from torch import Tensor

from benchmarks.common.report import table, write_report
from benchmarks.significance_methods import METHODS, Tested
from lightning_modules.statistics.auc import Ranking
from lightning_modules.statistics.bootstrap import bootstrap_aucs
from lightning_modules.statistics.significance import holm

SEEDS = (2, 3, 5, 10)
SEEDS_OF_SCORES = SEEDS[:3]
ROWS = 300
LEVELS = (0.05, 0.01)
#: True gap, in standard errors of the mean gap, at which power is measured: a test that knew them would have .85.
GAP = 3.0
#: Of families, whose other methods are known from the table of single comparisons.
FAMILY_METHODS = ("Behrens-Fisher", "subtracting")


class Spreads(NamedTuple):
    """Standard deviations by row, by seed, and by row and seed."""

    row: float
    seed: float
    interaction: float

    def error(self, seeds: int) -> float:
        """Return the standard error of the mean gap over so many seeds."""
        return math.sqrt(self.row**2 + (self.seed**2 + self.interaction**2) / seeds)

    def __str__(self) -> str:
        return f"{self.row:g}, {self.seed:g}, {self.interaction:g}"


GAUSSIAN = [Spreads(*each) for each in ((0, 1, 0.7), (0.2, 1, 1), (0.5, 1, 1), (1, 0, 0.5), (1, 0.3, 0.3))]
#: Of the two losses' skill by seed, and of the noise of single rows' scores, on top of what all scores share.
SCORES = [Spreads(*each) for each in ((0, 0.2, 0.5), (0.2, 0.1, 1), (0.5, 0.05, 0.2))]


#: Rows of a table's cells.
Table = list[list[str]]


class Drawn(NamedTuple):
    """Gaps of some losses to the baseline: on resamples of the rows, [B, losses, S], and as they are, [losses, S]."""

    resampled: Tensor
    observed: Tensor


def gaussian(spreads: Spreads, losses: int, seeds: int, resamples: int, generator: torch.Generator) -> Drawn:
    """Draw gaps to a baseline that all losses share, without a true difference."""

    def noise(count: int) -> Tensor:
        return torch.randn(count, losses + 1, seeds, generator=generator, dtype=torch.float64)

    def of_rows(count: int) -> Tensor:
        return spreads.row * noise(count)[..., :1] + spreads.interaction * noise(count)

    observed = spreads.seed * noise(1) + of_rows(1)
    # A gap is between two, each of which has half of its variance.
    aucs = torch.cat([observed, observed + of_rows(resamples)]) / math.sqrt(2)
    gaps = aucs[:, 1:] - aucs[:, :1]
    return Drawn(gaps[1:], gaps[0])


def scored(spreads: Spreads, rows: int, seeds: int, resamples: int, generator: torch.Generator) -> Drawn:
    """Draw the scores of a loss and a baseline alike in distribution, and bootstrap their AUCs."""

    def noise(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    label = (torch.rand(rows, generator=generator) < 0.3).float()
    skill = 1 + spreads.seed * noise(2, seeds, 1)
    own = spreads.row * noise(2, 1, rows) + spreads.interaction * noise(2, seeds, rows)
    scores = skill * label + noise(rows) + own
    loss, baseline = bootstrap_aucs(list(scores), label, torch.arange(rows), resamples=resamples, generator=generator)
    observed = torch.stack([torch.cat([Ranking(score, label).auc(torch.ones(1, rows)) for score in s]) for s in scores])
    return Drawn((loss - baseline)[:, None], (observed[0] - observed[1])[None])


class Measured:
    """Counts what a method says in many comparisons without a true difference, and with one."""

    def __init__(self) -> None:
        self.p_values: list[float] = []
        self.covered = 0
        self.found = 0

    def add(self, null: Tested, real: Tested) -> None:
        """Take in what was said of one comparison, without and with a true gap."""
        self.p_values.append(null.p_value)
        self.covered += null.low <= 0 <= null.high
        self.found += real.p_value < LEVELS[0]

    def cells(self) -> list[str]:
        """Return the shares of the levels, of coverage, and of differences found."""
        count = len(self.p_values)
        sizes = [sum(p_value < level for p_value in self.p_values) / count for level in LEVELS]
        return [*(f"{size:.4f}" for size in sizes), f"{self.covered / count:.4f}", f"{self.found / count:.3f}"]


def measure(trials: Iterable[Drawn], gap: float, generator: torch.Generator) -> dict[str, Measured]:
    """Test the first loss of every trial by every method, as it is and with a true gap added."""
    measured = {name: Measured() for name in METHODS}
    for drawn in trials:
        resampled, observed = drawn.resampled[:, 0], drawn.observed[0]
        for name, method in METHODS.items():
            null = method(resampled, observed, generator)
            measured[name].add(null, method(resampled + gap, observed + gap, generator))
    return measured


def family_errors(trials: Iterable[Drawn], generator: torch.Generator) -> list[float]:
    """Return the share of trials in which any loss is called different after Holm, a method each."""
    wrong, count = dict.fromkeys(FAMILY_METHODS, 0), 0
    for resampled, observed in trials:
        count += 1
        for name in wrong:
            pairs = zip(resampled.unbind(1), observed, strict=True)
            p_values = [METHODS[name](*pair, generator).p_value for pair in pairs]
            wrong[name] += min(holm(p_values)) < LEVELS[0]
    return [wrong_calls / count for wrong_calls in wrong.values()]


def rows_of(setting: Sequence[str], measured: dict[str, Measured]) -> Table:
    """Return a row of the table a method."""
    return [[*setting, name, *each.cells()] for name, each in measured.items()]


def simulate_gaps(trials: int, families: int, losses: int, resamples: int, generator: torch.Generator) -> list[Table]:
    """Return the tables of single comparisons and of families."""
    single, family = [], []
    for spreads in GAUSSIAN:
        for seeds in SEEDS:
            setting = [str(spreads), str(seeds)]
            drawn = (gaussian(spreads, 1, seeds, resamples, generator) for _ in range(trials))
            single += rows_of(setting, measure(drawn, GAP * spreads.error(seeds), generator))
            drawn = (gaussian(spreads, losses, seeds, resamples, generator) for _ in range(families))
            family.append([*setting, *(f"{error:.4f}" for error in family_errors(drawn, generator))])
            print(*setting, flush=True)
    return [single, family]


def simulate_scores(trials: int, resamples: int, generator: torch.Generator) -> Table:
    """Return the table of comparisons of scores."""
    rows = []
    for spreads in SCORES:
        for seeds in SEEDS_OF_SCORES:
            drawn = [scored(spreads, ROWS, seeds, resamples, generator) for _ in range(trials)]
            error = float(torch.stack([each.observed.mean() for each in drawn]).std())
            rows += rows_of([str(spreads), str(seeds)], measure(drawn, GAP * error, generator))
            print(spreads, seeds, flush=True)
    return rows


def main(
    trials: int = 2000,
    families: int = 500,
    losses: int = 12,
    of_scores: int = 300,
    resamples: int = 1000,
    seed: int = 0,
) -> None:
    """Simulate and write the tables.

    Args:
        trials: Comparisons a setting.
        families: Families of comparisons a setting.
        losses: Losses of a family, which share a baseline.
        of_scores: Comparisons of scores a setting.
        resamples: Resamples of the rows.
        seed: Of all random numbers.
    """
    generator = torch.Generator().manual_seed(seed)
    single, family = simulate_gaps(trials, families, losses, resamples, generator)
    by_scores = simulate_scores(of_scores, resamples // 2, generator)
    spreads = "spreads by row, seed, both"
    header = [spreads, "seeds", "method", "P(p < .05)", "P(p < .01)", "coverage of 95 %", "power at .05"]
    write_report(
        "significance_simulation",
        title="Differences that are none, and those that are found",
        parts=[
            _METHODS_IN_WORDS,
            f"## Gaps in AUC, {trials:,} comparisons each",
            f"Two standard errors of a share of .05 are {_two_errors(0.05, trials):.4f}, of .01 "
            f"{_two_errors(0.01, trials):.4f}. Power: share of true gaps of {GAP:g} standard errors of the mean gap "
            f"that are found; a test that knew that error would find .85. {resamples:,} resamples.",
            table(header, single),
            f"## {losses} losses that share a baseline, {families:,} families each",
            "Share in which a loss is called different at .05 after Holm, where none is; two standard errors of .05 "
            f"are {_two_errors(0.05, families):.4f}.",
            table([spreads, "seeds", *FAMILY_METHODS], family),
            f"## AUCs of scores of {ROWS} rows, {of_scores:,} comparisons each",
            "Scores are the label times a skill that varies by seed, noise that all share, and noise by row, and by "
            f"row and seed; rows and seeds are drawn anew each time. Two standard errors of a share of .05 are "
            f"{_two_errors(0.05, of_scores):.4f}, of .01 {_two_errors(0.01, of_scores):.4f}. {resamples // 2:,} "
            "resamples.",
            table(header, by_scores),
        ],
    )


_METHODS_IN_WORDS = """\
Behrens-Fisher is what `compare` and `polish` do. The others show what it costs and spares:

- all added: Student's t with S - 1 degrees of freedom on the variance between S seeds plus all of the bootstrap's,
  which is never significant too often;
- subtracting: what the rows explain is taken off the variance between seeds, down to 0, and the rest has S - 1 degrees;
- Satterthwaite: an approximate number of degrees of freedom for rows and seeds together."""


def _two_errors(share: float, count: int) -> float:
    return 2 * math.sqrt(share * (1 - share) / count)


if __name__ == "__main__":
    auto_cli(main)
