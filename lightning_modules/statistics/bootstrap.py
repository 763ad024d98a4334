"""Paired bootstrap of AUCs and means over test rows, or over groups of rows such as users."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from lightning_modules.statistics.auc import Ranking

# Small enough for the weights, and what is computed from them, to stay in the processor's caches.
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
    columns, of_one_task = [each.unsqueeze(2) for each in scores], label.unsqueeze(1)
    drawn = bootstrap_task_aucs(
        columns, of_one_task, groups, resamples=resamples, generator=generator, progress=progress
    )
    return [each.squeeze(2) for each in drawn]


def bootstrap_task_aucs(
    scores: Sequence[Tensor],
    label: Tensor,
    groups: Tensor,
    *,
    resamples: int,
    generator: torch.Generator,
    progress: Callable[[int], None] | None = None,
) -> list[Tensor]:
    """Return the AUC of every loss, seed and task under the same resamples of the rows.

    Args:
        scores: Scores of each loss, of shape [S, n, T]; the number of seeds S may differ between losses.
        label: Labels 0 or 1, of shape [n, T].
        groups: The group of each row, of shape [n]; the rows of a group are drawn together.
        resamples: Number B of resamples.
        generator: Source of the resamples.
        progress: Called after every chunk with the number of resamples that are done.

    Returns:
        float64 of shape [B, S, T] for each loss; nan where a resample has one class only, and where a score is nan.

    Raises:
        ValueError: If scores, labels and groups differ in their number of rows.
    """
    if len(groups) != len(label):
        raise ValueError(
            f"There are {len(groups)} groups and {len(label)} labels: pass the group and label of each row."
        )
    tasks = range(label.shape[1])
    rankings = [[[Ranking(score[:, t], label[:, t]) for t in tasks] for score in seeds] for seeds in scores]

    def aucs(weights: Tensor) -> list[Tensor]:
        of_seeds = ([torch.stack([each.auc(weights) for each in seed], dim=1) for seed in loss] for loss in rankings)
        return [torch.stack(seeds, dim=1) for seeds in of_seeds]

    return _resampled(aucs, Resampling(groups, resamples, generator), progress)


def bootstrap_means(
    values: Sequence[Tensor],
    groups: Tensor,
    *,
    resamples: int,
    generator: torch.Generator,
    progress: Callable[[int], None] | None = None,
) -> list[Tensor]:
    """Return the mean of every loss and seed under the same resamples of the rows.

    Args:
        values: A value a row of each loss, of shape [S, n]; the number of seeds S may differ between losses.
        groups: The group of each row, of shape [n]; the rows of a group are drawn together.
        resamples: Number B of resamples.
        generator: Source of the resamples.
        progress: Called after every chunk with the number of resamples that are done.

    Returns:
        float64 of shape [B, S] for each loss; nan where a value is nan.
    """
    columns = [each.double().T for each in values]

    def means(weights: Tensor) -> list[Tensor]:
        shares = weights.double() / weights.sum(1, keepdim=True, dtype=torch.float64)
        return [shares @ each for each in columns]

    return _resampled(means, Resampling(groups, resamples, generator), progress)


def _resampled(
    statistics: Callable[[Tensor], list[Tensor]], resampling: Resampling, progress: Callable[[int], None] | None
) -> list[Tensor]:
    """Return the statistics of all resamples, float64 [B, S, ...] for each loss.

    Args:
        statistics: Returns those of a chunk of resamples, float64 [chunk, S, ...] for each loss, from its weights.
        resampling: Yields the weights.
        progress: Called after every chunk with the number of resamples that are done.
    """
    chunks, done = [], 0
    for weights in resampling:
        chunks.append(statistics(weights))
        done += len(weights)
        if progress is not None:
            progress(done)
    return [torch.cat(parts) for parts in zip(*chunks, strict=True)]
