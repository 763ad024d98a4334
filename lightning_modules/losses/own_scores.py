"""Scores of rows each of which has negatives of its own, by whichever way is the least work."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lightning_modules.utilities.compiled import compiles_for

# A kernel takes as long for a negative as a product of matrices for two items, and fetching a vector for 64.
_ITEMS_FOR_COMPILED, _ITEMS_FOR_FETCHED = 2, 64


def own_scores(user_vector: Tensor, catalogue: Tensor, negative: Tensor) -> Tensor:
    """Return the scores of negatives of every row; they can be differentiated once.

    Args:
        user_vector: Float [n, d].
        catalogue: The vectors of all items, float [m, d].
        negative: Indices of items, int64 [n, N].

    Returns:
        Float [n, N].
    """
    items_for_negative = len(catalogue) / negative.shape[1]
    if items_for_negative > _ITEMS_FOR_COMPILED and user_vector.dtype == catalogue.dtype and compiles_for(catalogue):
        scores: Tensor = _OwnScores.apply(user_vector, catalogue, negative)  # type: ignore[no-untyped-call]
        return scores
    if items_for_negative <= _ITEMS_FOR_FETCHED:
        return (user_vector @ catalogue.T).gather(1, negative)
    return scores_of_vectors(user_vector, catalogue[negative])


def scores_of_vectors(user_vector: Tensor, negative_vector: Tensor) -> Tensor:
    """Return the scores [n, N] of vectors [n, N, d] of every row's own, by those of users [n, d]."""
    return torch.bmm(negative_vector, user_vector.unsqueeze(2)).squeeze(2)


class _OwnScores(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, user_vector: Tensor, catalogue: Tensor, negative: Tensor) -> Tensor:
        from lightning_modules.losses.own_score_kernels import score  # compiles when it is first called

        ctx.save_for_backward(user_vector, catalogue, negative)
        return score(user_vector, catalogue, negative)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        from lightning_modules.losses.own_score_kernels import vector_gradients

        return *vector_gradients(gradient, *ctx.saved_tensors), None
