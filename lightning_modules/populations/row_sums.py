"""Sums of table rows that every copy weighs in its own way."""

import torch
from torch import Tensor

_SUM = 0


def row_sums(vectors: Tensor, targets: Tensor, sources: Tensor, weights: Tensor) -> Tensor:
    """Return, for row t and copy k, the sum of ``weights[j, k] * vectors[sources[j], k]`` over j with targets[j] = t.

    It is ``index_add`` of the products, but these are never written down.

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
    # All terms of a row's first copy come first, then those of its second one: so a row's sums follow one another.
    first = torch.arange(len(target), device=vectors.device) + (count - 1) * starts.index_select(0, target)
    place = torch.addcmul(first.unsqueeze(1), terms.index_select(0, target).unsqueeze(1), copies).flatten()
    source = (sources.index_select(0, order).unsqueeze(1) * count + copies).flatten()
    weight = weights.index_select(0, order).flatten()
    bags = torch.addcmul((starts * count).unsqueeze(1), terms.unsqueeze(1), copies).flatten()
    source, weight = (torch.empty_like(each).index_copy_(0, place, each) for each in (source, weight))
    sums, *_ = torch.embedding_bag(vectors.flatten(0, 1), source, bags, False, _SUM, False, weight)
    return sums.view(rows, count, width)
