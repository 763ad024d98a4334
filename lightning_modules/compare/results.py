"""The result of each loss of a comparison: means over its seeds, and its difference to the baseline."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from lightning_modules.compare.compared_losses import ComparedLoss
from lightning_modules.compare.criteria import Criterion
from lightning_modules.compare.resampling import Resampled
from lightning_modules.statistics.significance import Difference, holm
from lightning_modules.training.statuses import TRAINED
from lightning_modules.training.tuning import Setting


@dataclass(frozen=True)
class PartResult:
    """A loss's result in one of the metrics that the criterion is made of, such as the AUC of a task.

    Attributes:
        standard_error: Standard error of its mean test metric over the draw of the test rows.
        difference: Its difference in the test metric to the baseline.
        p_value: The difference's p-value, adjusted for the number of losses.
    """

    standard_error: float
    difference: Difference
    p_value: float


@dataclass(frozen=True)
class LossResult:
    """The result of one loss after all its trainings.

    Attributes:
        loss: The loss.
        setting: The setting that was chosen for it.
        runs: Its rows of ``results.csv``, one a seed.
        proper: Whether the loss is a strictly proper scoring rule; only then is its log-loss reported.
        criterion: What the losses are compared by.
        standard_error: Standard error of its mean test metric over the draw of the test rows.
        difference: Its difference in the test metric to the baseline; all nan for the baseline itself, after a
            divergence, and, but for the estimate, where there is one seed only.
        p_value: The difference's p-value, adjusted for the number of losses.
        parts: Its results in the metrics that the criterion is made of, by their names in columns.
    """

    loss: ComparedLoss
    setting: Setting
    runs: pd.DataFrame
    proper: bool
    criterion: Criterion
    standard_error: float
    difference: Difference
    p_value: float
    parts: Mapping[str, PartResult] = field(default_factory=dict)

    @property
    def shows_beside(self) -> bool:
        """Whether the metric beside the criterion means anything for this loss."""
        return self.criterion.shows_beside(proper=self.proper)

    @property
    def broken_seeds(self) -> list[int]:
        """The seeds whose training diverged or failed."""
        return [int(seed) for seed in self.runs.loc[self.runs["status"] != TRAINED, "seed"]]

    @property
    def is_sound(self) -> bool:
        """Whether every seed was trained; means over the seeds need that."""
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


def loss_results(
    losses: Sequence[ComparedLoss],
    settings: Mapping[str, Setting],
    runs: Mapping[str, pd.DataFrame],
    proper: Mapping[str, bool],
    criterion: Criterion,
    resampled: Resampled,
) -> list[LossResult]:
    """Return the results of all losses, the baseline first.

    Args:
        losses: The losses, the baseline first.
        settings: The chosen setting of each, by title.
        runs: The rows of ``results.csv`` of each, by title.
        proper: Whether each is a strictly proper scoring rule, by title.
        criterion: What they are compared by.
        resampled: Their bootstrapped test metric.
    """
    titles = [compared.title for compared in losses]
    whole = _part_results(titles, resampled)
    parts = {name: _part_results(titles, each) for name, each in resampled.parts.items()}
    return [
        LossResult(
            loss=compared,
            setting=settings[compared.title],
            runs=runs[compared.title],
            proper=proper[compared.title],
            criterion=criterion,
            standard_error=whole[compared.title].standard_error,
            difference=whole[compared.title].difference,
            p_value=whole[compared.title].p_value,
            parts={name: results[compared.title] for name, results in parts.items()},
        )
        for compared in losses
    ]


def _part_results(titles: Sequence[str], resampled: Resampled) -> dict[str, PartResult]:
    """Return the results of all losses in one metric by their titles, the baseline's first."""
    differences = [resampled.difference(title, titles[0]) for title in titles]
    adjusted = holm([each.p_value for each in differences])
    return {
        title: PartResult(resampled.standard_error(title), difference, p_value)
        for title, difference, p_value in zip(titles, differences, adjusted, strict=True)
    }
