"""Significance of the difference between two losses over rows and seeds, and of many such differences together."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

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


@dataclass(frozen=True)
class Difference:
    """How much better a loss is than the baseline, by an AUC averaged over seeds; all nan if either diverged.

    Args:
        estimate: Difference observed on the test rows.
        low: Lower end of the percentile interval.
        high: Upper end of the percentile interval.
        standard_error: Standard error over rows and seeds.
        p_value: Two-sided, for no difference.
    """

    estimate: float
    low: float
    high: float
    standard_error: float
    p_value: float

    @property
    def half_width(self) -> float:
        """Half the width of the interval."""
        return (self.high - self.low) / 2


def difference(
    aucs: Tensor,
    baseline: Tensor,
    observed: Tensor,
    observed_baseline: Tensor,
    generator: torch.Generator,
    *,
    confidence: float = 0.95,
) -> Difference:
    """Test the difference of a loss to the baseline over the draw of the test rows and of the seeds (Behrens-Fisher).

    Seed s of both starts from the same weights and batches, so its two AUCs are subtracted. In the crossed layout of
    rows and seeds (Obuchowski and Rockette, Communications in Statistics 1995,
    https://doi.org/10.1080/03610919508813243) the mean gap over S seeds has the variance ``rows + (seeds + interaction)
    / S``. The covariance of two seeds' gaps under the bootstrap is ``rows``; the variance between the observed gaps is
    ``seeds + interaction``, with S - 1 degrees of freedom. The two parts are put together as Behrens and Fisher do: to
    the mean gap of a resample, scaled about its mean to ``rows``, comes a draw of Student's t. That test is not exact,
    but errs on the side of no difference (Robinson, Annals of Statistics 1976,
    https://doi.org/10.1214/aos/1176343594); an approximate number of degrees of freedom rejects too often with few
    seeds. The variance under a draw is never less than ``interaction``, which the bootstrap estimates: two seeds with
    the same gap by chance, as rankings of a few rows have, would give an interval of no width. Resamples with a single
    class, which have no AUC, are left out.

    Args:
        aucs: AUCs of the loss under every resample, of shape [B, S].
        baseline: AUCs of the baseline under the same resamples and for the same seeds, of shape [B, S].
        observed: AUCs of the loss on the test rows as they are, of shape [S].
        observed_baseline: AUCs of the baseline on the test rows as they are, of shape [S].
        generator: Source of the draws for the seeds.
        confidence: Probability that the interval is to cover the true difference.

    Raises:
        ValueError: If the shapes do not pair up, there is one seed only, or confidence is no probability.
    """
    _check(aucs, baseline, observed, observed_baseline, confidence)
    estimate = float((observed - observed_baseline).mean())
    paired = without_undefined((aucs - baseline).double())
    if math.isnan(estimate) or len(paired) < 2:
        return Difference(math.nan, math.nan, math.nan, math.nan, math.nan)
    rows, interaction = variances(paired)
    between = (observed - observed_baseline).double().var()
    seeds = student_draws(len(paired), paired.shape[1], between, generator, least=interaction)
    draws = scaled(paired.mean(1), rows) + seeds
    low, high = interval(draws, confidence)
    variance = rows + between.clamp(min=interaction) / paired.shape[1]
    return Difference(estimate, low, high, float(variance.sqrt()), two_sided(draws))


def _check(aucs: Tensor, baseline: Tensor, observed: Tensor, observed_baseline: Tensor, confidence: float) -> None:
    if aucs.shape != baseline.shape or not aucs.shape[1:] == observed.shape == observed_baseline.shape:
        raise ValueError(
            f"The loss has AUCs of shape {tuple(aucs.shape)} and {tuple(observed.shape)}, the baseline "
            f"{tuple(baseline.shape)} and {tuple(observed_baseline.shape)}: a paired comparison needs the same "
            "resamples and seeds of both, [B, S] and [S]."
        )
    if aucs.shape[1] < 2:
        raise ValueError(
            f"The comparison has {aucs.shape[1]} seed, and with one seed nothing is known of the spread between seeds: "
            "train every loss with at least two seeds."
        )
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is a probability strictly between 0 and 1, such as 0.95, got {confidence}.")


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for multiple comparisons, so that the family-wise error is at most the level.

    Holm, A Simple Sequentially Rejective Multiple Test Procedure, Scandinavian Journal of Statistics 1979,
    https://www.jstor.org/stable/4615733

    Args:
        p_values: One p-value a comparison; nan where there was nothing to compare, which does not count.

    Raises:
        ValueError: If a p-value lies outside [0, 1].
    """
    ascending = sorted((p_value, index) for index, p_value in enumerate(p_values) if not math.isnan(p_value))
    if ascending and not 0 <= ascending[0][0] <= ascending[-1][0] <= 1:
        raise ValueError(f"p-values lie between 0 and 1, got {ascending[0][0]} to {ascending[-1][0]}.")
    adjusted = [math.nan] * len(p_values)
    largest = 0.0
    for place, (p_value, index) in enumerate(ascending):
        largest = max(largest, min(1.0, (len(ascending) - place) * p_value))
        adjusted[index] = largest
    return adjusted


def resolvable_difference(half_width: float, *, power: float = 0.8, level: float = 0.05) -> float:
    """Return the smallest true difference that a two-sided test at this level finds with about this probability.

    Args:
        half_width: Half the width of the difference's interval at that level.
        power: Probability of a significant result at that difference.
        level: Probability of a significant result where there is no difference.

    Raises:
        ValueError: If power or level is no probability strictly between 0 and 1.
    """
    for name, value in (("power", power), ("level", level)):
        if not 0 < value < 1:
            raise ValueError(f"{name} is a probability strictly between 0 and 1, got {value}.")
    normal = NormalDist()
    return (1 + normal.inv_cdf(power) / normal.inv_cdf(1 - level / 2)) * half_width
