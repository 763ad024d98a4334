"""Ways to test a mean gap over rows and seeds that are known from the literature or from practice."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from lightning_modules.statistics.significance import difference

LEVEL = 0.05


class Tested(NamedTuple):
    """What a method says of one comparison: a p-value, and the ends of the interval of 95 %."""

    p_value: float
    low: float
    high: float


#: Takes the gaps of the resamples, [B, S], and those of the rows as they are, [S].
Method = Callable[[Tensor, Tensor, torch.Generator], Tested]


def behrens_fisher(resampled: Tensor, observed: Tensor, generator: torch.Generator) -> Tested:
    """Test as a comparison does."""
    found = difference(resampled, torch.zeros_like(resampled), observed, torch.zeros_like(observed), generator)
    return Tested(found.p_value, found.low, found.high)


def subtracting(resampled: Tensor, observed: Tensor, generator: torch.Generator) -> Tested:
    """Take what the rows explain off the variance between the seeds, and the rest for one with S - 1 degrees."""
    seeds = resampled.shape[1]
    explained = (resampled - resampled.mean(1, keepdim=True)).var(0).mean() * seeds / (seeds - 1)
    scale = ((observed.var() - explained).clamp(min=0) / seeds).sqrt()
    normal = torch.randn(len(resampled), seeds, generator=generator, dtype=torch.float64)
    draws = resampled.mean(1) + scale * normal[:, 0] / normal[:, 1:].square().mean(1).sqrt()
    beyond = min(int((draws <= 0).sum()), int((draws >= 0).sum()))
    low, high = np.quantile(draws.numpy(), [LEVEL / 2, 1 - LEVEL / 2])
    return Tested(min(1.0, 2 * (1 + beyond) / (len(draws) + 1)), low, high)


def approximate_degrees(resampled: Tensor, observed: Tensor, generator: torch.Generator) -> Tested:  # noqa: ARG001
    """Test with degrees of freedom after Satterthwaite, as is usual for readers and cases.

    Hillis, A Comparison of Denominator Degrees of Freedom Methods for Multiple Observer ROC Analysis, Statistics in
    Medicine 2007, https://doi.org/10.1002/sim.2532
    """
    of_seeds = float(observed.var()) / len(observed)
    covariance = torch.cov(resampled.T)
    apart = covariance.sum() - covariance.trace()
    of_rows = max(0.0, float(apart) / (len(observed) * (len(observed) - 1)))
    variance = of_seeds + of_rows
    return _student(float(observed.mean()), variance, (len(observed) - 1) * variance**2 / of_seeds**2)


def all_added(resampled: Tensor, observed: Tensor, generator: torch.Generator) -> Tested:  # noqa: ARG001
    """Test with S - 1 degrees of freedom the variance of the seeds plus all of the rows'; it is conservative."""
    variance = float(observed.var()) / len(observed) + float(resampled.mean(1).var())
    return _student(float(observed.mean()), variance, len(observed) - 1)


def _student(mean: float, variance: float, degrees: float) -> Tested:
    error = variance**0.5
    half = stats.t.isf(LEVEL / 2, degrees) * error
    return Tested(2 * float(stats.t.sf(abs(mean) / error, degrees)), mean - half, mean + half)


METHODS: dict[str, Method] = {
    "Behrens-Fisher": behrens_fisher,
    "all added": all_added,
    "subtracting": subtracting,
    "Satterthwaite": approximate_degrees,
}
