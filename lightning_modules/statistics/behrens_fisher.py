"""The parts of a Behrens-Fisher test over the draw of rows and of what was repeated: variances, draws, interval."""

import torch
from torch import Tensor


def without_undefined(paired: Tensor) -> Tensor:
    """Return the resamples, along the first dimension, of which every value is defined."""
    return paired[~paired.flatten(1).isnan().any(1)]


def variances(paired: Tensor) -> tuple[Tensor, Tensor]:
    """Return the variance over resamples that all repetitions share, and the one that rows add to each of them alone.

    Args:
        paired: A gap under every resample, for every repetition, float64, of shape [B, S].
    """
    repetitions = paired.shape[1]
    deviations = paired - paired.mean(1, keepdim=True)
    interaction = deviations.var(0).mean() * repetitions / (repetitions - 1)
    return (paired.mean(1).var() - interaction / repetitions).clamp(min=0), interaction


def scaled(values: Tensor, variance: Tensor) -> Tensor:
    """Return values scaled about their mean to a variance; equal ones stay as they are."""
    return values.mean() + (values - values.mean()) * (variance / values.var()).sqrt().nan_to_num()


def student_draws(
    count: int, repetitions: int, between: Tensor, generator: torch.Generator, *, least: Tensor
) -> Tensor:
    """Return draws [count] of a mean over repetitions about the true one: Student's t.

    Args:
        count: Number of draws.
        repetitions: Number of repetitions, of which the degrees of freedom are one less.
        between: The observed variance between them.
        generator: Source of the draws.
        least: The least variance of a repetition under a draw.
    """
    normal = torch.randn(count, repetitions, generator=generator, device=generator.device, dtype=torch.float64)
    variance = between / normal[:, 1:].square().mean(1)
    return normal[:, 0] * (variance.clamp(min=least) / repetitions).sqrt()


def interval(draws: Tensor, confidence: float) -> tuple[float, float]:
    """Return the ends between which all but ``1 - confidence`` of draws lie; of few draws, the lowest and highest.

    Of B draws and one more, the k-th smallest has ``k / (B + 1)`` below it, as :func:`two_sided` counts: an interval
    leaves 0 out where p is below ``1 - confidence``.
    """
    count = len(draws)
    outside = max(0.0, (1 - confidence) / 2 * (count + 1) - 1) / (count - 1)
    low, high = draws.quantile(draws.new_tensor([outside, 1 - outside])).tolist()
    return low, high


def two_sided(draws: Tensor) -> float:
    """Return twice the share of draws beyond 0, on the side where fewer lie."""
    beyond = min(int((draws <= 0).sum()), int((draws >= 0).sum()))
    return min(1.0, 2 * (1 + beyond) / (len(draws) + 1))
