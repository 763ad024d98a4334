"""Ranks of scores, and the areas under the ROC curve over them."""

from typing import NamedTuple

import torch
from torch import Tensor

from lightning_modules.utilities.precision import at_least_single


def scores_of(logit: Tensor) -> Tensor:
    """Return the scores that rows are ranked by: logits without a gradient, in single precision at least.

    Probabilities of single precision would not do: they are all 1 above a logit of 16.6, and all 0 below -104.
    """
    return at_least_single(logit.detach())


#: Scores of models on rows that are ranked at a time.
_MOST_CELLS = 1 << 17


class _Blocks(NamedTuple):
    """Rows of one group with equal scores, by group and score; all of shape [blocks], int64."""

    group: Tensor
    positives: Tensor
    negatives: Tensor


def dense_ranks(score: Tensor) -> Tensor:
    """Return the place of every score among the different scores, from 0; equal scores share it. Shapes [n]."""
    ordered, order = score.sort()
    place = torch.zeros_like(order)
    place[1:] = (ordered[1:] != ordered[:-1]).cumsum(0)
    return torch.empty_like(order).scatter_(0, order, place)


class LatestRanks:
    """Dense ranks of the latest scores, which are sorted once for all figures that depend on their order."""

    def __init__(self) -> None:
        self._latest: tuple[Tensor, Tensor] | None = None

    def of(self, score: Tensor) -> Tensor:
        """Return :func:`dense_ranks` of the scores, int64, of shape [n]."""
        if self._latest is None or not _same(score, self._latest[0]):
            self._latest = score.clone(), dense_ranks(score)
        return self._latest[1]


def _same(score: Tensor, other: Tensor) -> bool:
    return (score.device, score.dtype) == (other.device, other.dtype) and torch.equal(score, other)


def auc(rank: Tensor, positive: Tensor) -> Tensor:
    """Return the area under the ROC curve, ties counted half; nan if there is one class.

    Args:
        rank: What :func:`dense_ranks` returned, int64, of shape [n].
        positive: Whether the label is 1, bool, of shape [n].
    """
    rows = torch.bincount(rank)
    positives = torch.bincount(rank[positive], minlength=len(rows))
    negatives = rows - positives
    wins = _wins(positives, negatives, below=negatives.cumsum(0) - negatives)
    return wins.sum() / (2 * positives.sum() * negatives.sum())


def auc_of_each(scores: Tensor, positive: Tensor) -> Tensor:
    """Return the :func:`auc` of every model on the same rows, of shape [models].

    Args:
        scores: Scores of every model, float [models, n].
        positive: Whether the label is 1, bool, of shape [n].
    """
    # Few enough at a time that what is computed of them stays in the cache.
    parts = scores.split(max(1, _MOST_CELLS // max(1, len(positive))))
    return torch.cat([_areas(part, positive) for part in parts])


def _areas(scores: Tensor, positive: Tensor) -> Tensor:
    ordered, order = scores.sort(dim=1)
    ties = ordered[:, 1:] == ordered[:, :-1]
    is_positive = positive[order].long()
    if not ties.any():
        # Every positive wins against the negatives before it.
        wins = 2 * (is_positive * (1 - is_positive).cumsum(1)).sum(1)
    else:
        wins = _wins_with_ties(ties, is_positive)
    positives = positive.sum()
    return wins / (2 * positives * (len(positive) - positives))


def _wins_with_ties(ties: Tensor, is_positive: Tensor) -> Tensor:
    """Return twice the pairs that the positives of every model win, of shape [models].

    Args:
        ties: Whether a score equals the one before it, bool [models, n - 1], by rising score.
        is_positive: 1 for a positive, 0 for a negative, [models, n], by rising score.
    """
    models, rows = is_positive.shape
    place = torch.zeros_like(is_positive)
    place[:, 1:] = (~ties).cumsum(1)
    empty = torch.zeros(models, rows, dtype=torch.int64, device=ties.device)
    positives = empty.scatter_add(1, place, is_positive)
    negatives = empty.scatter_add(1, place, 1 - is_positive)
    return _wins(positives, negatives, below=negatives.cumsum(1) - negatives).sum(1)


def grouped_auc(rank: Tensor, positive: Tensor, group: Tensor) -> Tensor:
    """Return the mean of the groups' areas under the ROC curve, weighted by their rows.

    Groups of one class have no such area and are left out; nan if all are. Zhu et al., Optimized Cost per Click in
    Taobao Display Advertising, KDD 2017, https://arxiv.org/abs/1703.02091

    Args:
        rank: What :func:`dense_ranks` returned, int64, of shape [n].
        positive: Whether the label is 1, bool, of shape [n].
        group: Number of the row's group, from 0 without gaps, int64, of shape [n].
    """
    num_groups, num_ranks = int(group.max()) + 1, int(rank.max()) + 1
    keys, block = torch.unique(group * num_ranks + rank, return_inverse=True)
    blocks = _blocks(block, positive, group=keys // num_ranks, num_blocks=len(keys))
    wins, positives, negatives = _by_group(blocks, num_groups)
    mixed = (positives > 0) & (negatives > 0)
    area = wins[mixed] / (2 * positives * negatives)[mixed]
    rows = (positives + negatives)[mixed]
    return (area * rows).sum() / rows.sum()


def _blocks(block: Tensor, positive: Tensor, *, group: Tensor, num_blocks: int) -> _Blocks:
    positives = torch.bincount(block[positive], minlength=num_blocks)
    rows = torch.bincount(block, minlength=num_blocks)
    return _Blocks(group.expand(num_blocks), positives, rows - positives)


def _by_group(blocks: _Blocks, num_groups: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return twice the won pairs, the positives and the negatives of every group, each of shape [groups]."""
    positives = _sums(blocks.positives, blocks.group, num_groups)
    negatives = _sums(blocks.negatives, blocks.group, num_groups)
    below_group = negatives.cumsum(0) - negatives
    below = blocks.negatives.cumsum(0) - blocks.negatives - below_group[blocks.group]
    wins = _wins(blocks.positives, blocks.negatives, below)
    return _sums(wins, blocks.group, num_groups), positives, negatives


def _wins(positives: Tensor, negatives: Tensor, below: Tensor) -> Tensor:
    """Return twice the pairs that every block wins, which are whole numbers; a tie counts half.

    Args:
        positives: Positives of the block.
        negatives: Its negatives.
        below: Negatives of its group with smaller scores.
    """
    return positives * (2 * below + negatives)


def _sums(values: Tensor, group: Tensor, num_groups: int) -> Tensor:
    return torch.zeros(num_groups, dtype=values.dtype, device=values.device).index_add_(0, group, values)
