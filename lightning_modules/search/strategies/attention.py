"""Attention of nodes over the positions that they can read."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def attend(keys: Tensor, query: Tensor, weight: Tensor) -> Tensor:
    """Return ``weight * tanh(key + query)`` for every key, without a graph.

    Args:
        keys: ``[positions, count, hidden]``.
        query: ``[count, hidden]``.
        weight: ``[hidden]``.

    Returns:
        Scores ``[positions, count]``.
    """
    return torch.mv((keys + query).tanh_().flatten(0, 1), weight).view(keys.shape[:2])


def attend_earlier(keys: Tensor, queries: Tensor, weight: Tensor) -> Tensor:
    """Return the scores of earlier positions at every node, which can be differentiated once.

    Args:
        keys: ``[positions, count, hidden]``; the last node cannot read itself, so that its position is not among them.
        queries: ``[nodes, count, hidden]``.
        weight: ``[hidden]``.

    Returns:
        Scores ``[nodes, positions, count]``; those of later positions are 0.
    """
    # torch gives `apply` no types.
    scores: Tensor = _EarlierAttention.apply(keys, queries, weight)  # type: ignore[no-untyped-call]
    return scores


class _EarlierAttention(torch.autograd.Function):
    """A node at a time; what tanh returns is computed again rather than kept, which takes longer."""

    @staticmethod
    def forward(ctx: Any, keys: Tensor, queries: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(keys, queries, weight)
        scores = keys.new_zeros(len(queries), *keys.shape[:2])
        for node, (query, score) in enumerate(zip(queries, scores, strict=True)):
            readable = _readable(node, keys, queries)
            score[:readable] = attend(keys[:readable], query, weight)
        return scores

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        keys, queries, weight = ctx.saved_tensors
        of_keys, of_queries, of_weight = map(torch.zeros_like, (keys, queries, weight))
        for node, query in enumerate(queries):
            readable = _readable(node, keys, queries)
            bounded, of_scores = (keys[:readable] + query).tanh_(), gradient[node, :readable]
            of_weight.addmv_(bounded.flatten(0, 1).t(), of_scores.flatten())
            of_sums = of_scores[..., None] * weight
            of_sums.addcmul_(of_sums, bounded.square_(), value=-1)
            of_keys[:readable] += of_sums
            torch.sum(of_sums, 0, out=of_queries[node])
        return of_keys, of_queries, of_weight


def _readable(node: int, keys: Tensor, queries: Tensor) -> int:
    return len(keys) - len(queries) + 1 + node
