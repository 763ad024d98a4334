"""Paired bootstrap of AUCs over test rows or users, and of the difference between two losses over rows and seeds."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_modules.statistics.auc import Ranking

# Weights of this size and what is computed from them stay in the processor's caches.
_CHUNK_BYTES = 2**22


class Resampling:
    """Draws rows with replacement, a whole group (a user's rows) at a time, as counts for chunks of resamples.

    Every iteration continues the generator, and so draws other resamples: to pair losses, iterate over the chunks once
    and over the losses inside. The resamples do not depend on the size of the chunks.

    Args:
        groups: The group of each row, any integers, of shape [n]; ``arange(n)`` resamples single rows.
        resamples: Number of resamples.
        generator: Source of the draws, on the device that the weights are wanted on.
        chunk_bytes: Size of the weights of a chunk; a chunk holds one resample at least.

    Raises:
        ValueError: If there are no rows or no resamples.
    """

    def __init__(
        self, groups: Tensor, resamples: int, generator: torch.Generator, *, chunk_bytes: int = _CHUNK_BYTES
    ) -> None:
        if groups.ndim != 1 or not len(groups):
            raise ValueError(
                f"groups has shape {tuple(groups.shape)}, but it names the group of each row: pass one number a row, "
                "and at least one row."
            )
        if resamples < 1:
            raise ValueError(f"resamples is the number of bootstrap resamples to draw, at least 1, got {resamples}.")
        names, self.group = groups.to(generator.device).unique(return_inverse=True)
        self.num_groups = len(names)
        self.resamples = resamples
        self.generator = generator
        self.chunk = max(1, chunk_bytes // (torch.float32.itemsize * len(groups)))

    def __iter__(self) -> Iterator[Tensor]:
        """Yield the weights of one chunk of resamples after the other, float32 of shape [chunk, n]."""
        for start in range(0, self.resamples, self.chunk):
            size = (min(self.chunk, self.resamples - start), self.num_groups)
            drawn = torch.randint(self.num_groups, size, generator=self.generator, device=self.generator.device)
            counts = torch.zeros(size, device=drawn.device)
            counts.scatter_add_(1, drawn, torch.ones_like(counts[:1]).expand(size))
            yield counts.index_select(1, self.group)


def bootstrap_aucs(
    scores: Sequence[Tensor],
    label: Tensor,
    groups: Tensor,
    *,
    resamples: int,
    generator: torch.Generator,
    progress: Callable[[int], None] | None = None,
) -> list[Tensor]:
    """Return the AUC of every loss and seed under the same resamples of the rows.

    Args:
        scores: Scores of each loss, of shape [S, n]; the number of seeds S may differ between losses.
        label: Labels 0 or 1, of shape [n].
        groups: The group of each row, of shape [n]; the rows of a group are drawn together.
        resamples: Number B of resamples.
        generator: Source of the resamples.
        progress: Called after every chunk with the number of resamples that are done.

    Returns:
        float64 of shape [B, S] for each loss; nan where a resample has one class only, and where a score is nan.

    Raises:
        ValueError: If scores, label and groups differ in their number of rows.
    """
    if len(groups) != len(label):
        raise ValueError(
            f"There are {len(groups)} groups and {len(label)} labels: pass the group and label of each row."
        )
    rankings = [[Ranking(score, label) for score in seeds] for seeds in scores]
    aucs = [torch.empty(resamples, len(seeds), dtype=torch.float64, device=label.device) for seeds in scores]
    done = 0
    for weights in Resampling(groups, resamples, generator):
        for table, seeds in zip(aucs, rankings, strict=True):
            for seed, ranking in enumerate(seeds):
                table[done : done + len(weights), seed] = ranking.auc(weights)
        done += len(weights)
        if progress is not None:
            progress(done)
    return aucs


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
    """Compare a loss with the baseline over what the draw of the test rows and of the seeds leaves open.

    Seed s of both starts from the same weights and batches, so its two AUCs are subtracted. In the crossed layout of
    rows and seeds (Obuchowski and Rockette, Communications in Statistics 1995,
    https://doi.org/10.1080/03610919508813243) the mean gap over S seeds has the variance ``rows + (seeds + interaction)
    / S``. The covariance of two seeds' gaps under the bootstrap is ``rows``; the variance between the observed gaps is
    ``seeds + interaction``, with S - 1 degrees of freedom. The two parts are put together as Behrens and Fisher do: to
    the mean gap of a resample, scaled about its mean to ``rows``, comes a draw of Student's t. That test is not exact,
    but errs on the side of no difference (Robinson, Annals of Statistics 1976,
    https://doi.org/10.1214/aos/1176343594), where an approximate number of degrees of freedom finds too many with few
    seeds. The variance under a draw is never less than ``interaction``, which the bootstrap knows: two seeds with the
    same gap by chance, as rankings of a few rows have, would leave nothing open. Resamples without an AUC, for want of
    one class, are left out.

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
    paired = (aucs - baseline).double()
    paired = paired[~paired.isnan().any(1)]
    if math.isnan(estimate) or len(paired) < 2:
        return Difference(math.nan, math.nan, math.nan, math.nan, math.nan)
    rows, interaction = _variances(paired)
    between = (observed - observed_baseline).double().var()
    draws = _scaled(paired.mean(1), rows) + _seed_draws(len(paired), paired.shape[1], between, interaction, generator)
    low, high = _interval(draws, confidence)
    return Difference(estimate, low, high, float((rows + between / paired.shape[1]).sqrt()), _two_sided(draws))


def _variances(paired: Tensor) -> tuple[Tensor, Tensor]:
    """Return the variance over resamples that all seeds share, and the one that rows add to each seed alone."""
    seeds = paired.shape[1]
    deviations = paired - paired.mean(1, keepdim=True)
    interaction = deviations.var(0).mean() * seeds / (seeds - 1)
    return (paired.mean(1).var() - interaction / seeds).clamp(min=0), interaction


def _scaled(values: Tensor, variance: Tensor) -> Tensor:
    """Return values scaled about their mean to a variance; equal ones stay as they are."""
    return values.mean() + (values - values.mean()) * (variance / values.var()).sqrt().nan_to_num()


def _seed_draws(count: int, seeds: int, between: Tensor, least: Tensor, generator: torch.Generator) -> Tensor:
    """Return draws [count] of the mean of seeds: Student's t, under variances of one seed that are not below one."""
    normal = torch.randn(count, seeds, generator=generator, device=generator.device, dtype=torch.float64)
    variance = between / normal[:, 1:].square().mean(1)
    return normal[:, 0] * (variance.clamp(min=least) / seeds).sqrt()


def _interval(draws: Tensor, confidence: float) -> tuple[float, float]:
    """Return the ends between which all but ``1 - confidence`` of draws lie; of few draws, the lowest and highest.

    Of B draws and one more, the k-th smallest has ``k / (B + 1)`` below it, as :func:`_two_sided` counts: an interval
    leaves 0 out where p is below ``1 - confidence``.
    """
    count = len(draws)
    outside = max(0.0, (1 - confidence) / 2 * (count + 1) - 1) / (count - 1)
    low, high = draws.quantile(draws.new_tensor([outside, 1 - outside])).tolist()
    return low, high


def _two_sided(draws: Tensor) -> float:
    beyond = min(int((draws <= 0).sum()), int((draws >= 0).sum()))
    return min(1.0, 2 * (1 + beyond) / (len(draws) + 1))


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
