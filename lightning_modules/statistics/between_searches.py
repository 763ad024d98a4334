"""Significance of what searches find on average: over test rows, training seeds, and the searches themselves."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_modules.statistics.behrens_fisher import (
    interval,
    scaled,
    student_draws,
    two_sided,
    variances,
    without_undefined,
)
from lightning_modules.statistics.significance import Difference

_DIGITS = 12


@dataclass(frozen=True)
class ArmMetric:
    """The test metric of what the searches of one arm have found, or of one loss that no search has found.

    Attributes:
        resampled: The metric under every resample, float64, of shape [searches, B, S]; the resamples and the S seeds
            are the same in all arms.
        observed: The metric of the rows as they are, float64, of shape [searches, S].
        is_searched: Whether other searches would have found other losses.
    """

    resampled: Tensor
    observed: Tensor
    is_searched: bool = True

    @property
    def searches(self) -> int:
        """The number of searches."""
        return len(self.observed)

    @property
    def between(self) -> Tensor:
        """The variance between the searches' metrics, each a mean over the seeds."""
        return self.observed.mean(1).var()

    @property
    def of_rows(self) -> Tensor:
        """The variance that the draw of the rows adds to the metric of each search alone."""
        return variances(without_undefined(self.resampled.mean(2).T))[1]


def difference_between_searches(
    arm: ArmMetric, other: ArmMetric, generator: torch.Generator, *, confidence: float = 0.95
) -> Difference:
    """Test the mean difference of two arms over the draw of test rows, training seeds and searches (Behrens-Fisher).

    The variance of a mean over n searches with S seeds each, all on the same rows, is that of three parts::

        rows + seeds / S + searches / n + searches of the other arm / m

    ``rows`` is the variance under the bootstrap that all searches share. ``seeds`` is the variance between the seeds of
    the arms' mean gap, with S - 1 degrees of freedom. ``searches`` is the variance between what n searches have found,
    with n - 1: it has in it what rows and seeds do to each of them alone. The parts are put together as
    :func:`~lightning_modules.statistics.significance.difference` does: to the mean gap of a resample comes a draw of
    Student's t for each other part. With many rows and seeds this is Student's interval over n searches or, between two
    arms, the test of Behrens and Fisher, of which Welch's is an approximation. What seeds do to single searches is in
    two of the parts, which errs on the side of no difference.

    Args:
        arm: The one arm.
        other: The other arm, or the one loss that the arm is compared with.
        generator: Source of the draws.
        confidence: Probability that the interval is to cover the true difference.

    Returns:
        The difference; but for its estimate all nan with one seed, or one search in an arm, of whose spread nothing is
        known.
    """
    gaps = _gap(arm.observed, other.observed)
    paired = without_undefined(_gap(arm.resampled, other.resampled))
    searched = [each for each in (arm, other) if each.is_searched]
    if len(gaps) < 2 or len(paired) < 2 or any(each.searches < 2 for each in searched):
        return Difference(float(gaps.mean()), math.nan, math.nan, math.nan, math.nan)
    rows, of_seeds = variances(paired)
    # The spread between searches has in it what rows do to each of them alone.
    rows = (rows - torch.stack([each.of_rows / each.searches for each in searched]).sum()).clamp(min=0)
    spreads = [(len(gaps), gaps.var(), of_seeds), *((each.searches, each.between, each.of_rows) for each in searched)]
    draws = scaled(paired.mean(1), rows)
    for repetitions, between, least in spreads:
        draws = draws + student_draws(len(paired), repetitions, between, generator, least=least)
    variances_of_means = [between.clamp(min=least) / repetitions for repetitions, between, least in spreads]
    variance = rows + torch.stack(variances_of_means).sum()
    low, high = interval(draws, confidence)
    return Difference(float(gaps.mean()), low, high, float(variance.sqrt()), two_sided(draws))


def _gap(metrics: Tensor, others: Tensor) -> Tensor:
    """Return the difference of the means over searches, without what rounding makes of equal ones."""
    return (metrics.mean(0) - others.mean(0)).round(decimals=_DIGITS)
