"""The distinct rows of a table that a batch reads, and sums over them."""

from typing import NamedTuple

import torch
from torch import Tensor


class SparseRows(NamedTuple):
    """The rows of a table that a batch reads, each once and in order.

    Attributes:
        rows: Their numbers, int64 [distinct].
        inverse: Index among them of every read, int64 [reads].
    """

    rows: Tensor
    inverse: Tensor


def distinct_rows(reads: Tensor, padding_row: int) -> SparseRows:
    """Return the distinct rows among those that a batch reads.

    Args:
        reads: Numbers of rows, with repetitions, int64 [reads].
        padding_row: A row with a larger number than all others that no batch reads; see :func:`padded_rows`.
    """
    if reads.device.type == "cpu":
        return SparseRows(*torch.unique(reads, return_inverse=True))
    return padded_rows(reads, padding_row)


def padded_rows(reads: Tensor, padding_row: int) -> SparseRows:
    """Return the distinct rows without counting them, so that an accelerator is not synchronised.

    The rows are filled up with the padding row to the number of reads.
    """
    ordered, order = reads.sort()
    is_new = torch.ones_like(ordered)
    is_new[1:] = ordered[1:] != ordered[:-1]
    index = is_new.cumsum(0) - 1
    rows = torch.full_like(reads, padding_row).index_copy_(0, index, ordered)
    return SparseRows(rows, torch.empty_like(reads).index_copy_(0, order, index))


_SUM = 0


def row_sums(vectors: Tensor, targets: Tensor, sources: Tensor, weights: Tensor) -> Tensor:
    """Return, for row t and copy k, the sum of ``weights[j, k] * vectors[sources[j], k]`` over j with targets[j] = t.

    It equals ``index_add`` of the products, which are not materialised.

    Args:
        vectors: Float [rows, K, width].
        targets: Int64 [terms].
        sources: Int64 [terms].
        weights: Float [terms, K].

    Returns:
        Float [rows, K, width].
    """
    rows, count, width = vectors.shape
    target, order = targets.sort(stable=True)
    terms = targets.new_zeros(rows).index_add_(0, target, torch.ones_like(target))
    starts = terms.cumsum(0) - terms
    copies = torch.arange(count, device=vectors.device)
    # All terms of a row's first copy come first, then those of its second one, so that a row's sums are adjacent.
    first = torch.arange(len(target), device=vectors.device) + (count - 1) * starts.index_select(0, target)
    slot = torch.addcmul(first.unsqueeze(1), terms.index_select(0, target).unsqueeze(1), copies).flatten()
    source = (sources.index_select(0, order).unsqueeze(1) * count + copies).flatten()
    weight = weights.index_select(0, order).flatten()
    bags = torch.addcmul((starts * count).unsqueeze(1), terms.unsqueeze(1), copies).flatten()
    source, weight = (torch.empty_like(each).index_copy_(0, slot, each) for each in (source, weight))
    sums, *_ = torch.embedding_bag(vectors.flatten(0, 1), source, bags, False, _SUM, False, weight)
    return sums.view(rows, count, width)
