"""Scores of rows that share their negatives: one matrix product, and what losses make of it in few passes.

A row uses other negatives in place of those that its user has, as ``TopNBatch.replaced`` says: the row, ascending, the
place of the negative, and the place of the one used instead, int64 [3, m].
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lightning_modules.utilities.compiled import compiles_for

#: Scores that are looked at at once by a processor: half a megabyte in single precision, which stays in its cache.
_SCORES_AT_ONCE = 2**17


def shared_scores(user_vector: Tensor, negative_vector: Tensor, replaced: Tensor) -> Tensor:
    """Return the scores of shared negatives: float [n, d], [N, d], int64 [3, m] -> float [n, N].

    They can be differentiated once.
    """
    scores: Tensor = _SharedScores.apply(user_vector, negative_vector, replaced)  # type: ignore[no-untyped-call]
    return scores


def shared_logsumexp(user_vector: Tensor, negative_vector: Tensor, replaced: Tensor, temperature: float) -> Tensor:
    """Return ``log sum_j exp(s_j / t)`` over the shared negatives of every row, float [n].

    It takes half as long as the scores and their sum: a block of rows is scored, summed and multiplied by the vectors
    for the gradient while it is in the processor's cache. It can be differentiated once.

    Args:
        user_vector: Float [n, d].
        negative_vector: Float [N, d].
        replaced: What is used in place of users' own items, int64 [3, m].
        temperature: The ``t``, > 0.
    """
    arguments = user_vector, negative_vector, replaced, temperature
    value: Tensor = _SharedLogSumExp.apply(*arguments)  # type: ignore[no-untyped-call]
    return value


class _SharedScores(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, user_vector: Tensor, negative_vector: Tensor, replaced: Tensor) -> Tensor:
        ctx.save_for_backward(user_vector, negative_vector, replaced)
        scores = user_vector @ negative_vector.T
        take_over(scores, replaced)
        return scores

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        user_vector, negative_vector, replaced = ctx.saved_tensors
        # In half precision the scores have another type than the vectors.
        own = gradient.to(user_vector.dtype, copy=True, memory_format=torch.contiguous_format)
        hand_over(own, replaced)
        # The product of the transposed vectors is twice as fast as that of the transposed gradient.
        return own @ negative_vector, (user_vector.T @ own).T, None


class _SharedLogSumExp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, user_vector: Tensor, negative_vector: Tensor, replaced: Tensor, temperature: float) -> Tensor:
        scaled = user_vector / temperature
        powers = user_vector.new_empty(len(user_vector), len(negative_vector))
        highest, total = powers.new_empty(len(powers), 1), powers.new_empty(len(powers), 1)
        mean = torch.empty_like(user_vector)
        for rows, own in _blocks(replaced, *powers.shape):
            block = torch.mm(scaled[rows], negative_vector.T, out=powers[rows])
            take_over(block, own)
            torch.amax(block, dim=1, keepdim=True, out=highest[rows])
            block.sub_(highest[rows]).exp_()
            torch.sum(block, dim=1, keepdim=True, out=total[rows])
            hand_over(block, own)
            torch.mm(block, negative_vector, out=mean[rows])
        ctx.temperature = temperature
        ctx.save_for_backward(user_vector, powers, total, mean)
        return (total.log() + highest).squeeze(1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        user_vector, powers, total, mean = ctx.saved_tensors
        weight = gradient.unsqueeze(1) / (total * ctx.temperature)
        return weight * mean, ((weight * user_vector).T @ powers).T, None, None


def _blocks(replaced: Tensor, rows: int, negatives: int) -> Iterator[tuple[slice, Tensor]]:
    """Yield blocks of rows, and what is replaced in each, with its rows counted from the block's first one."""
    size = max(1, _SCORES_AT_ONCE // negatives)
    begins = torch.arange(0, rows + size, size, device=replaced.device)
    ends = torch.searchsorted(replaced[0].contiguous(), begins).tolist()
    for first, begin, end in zip(range(0, rows, size), ends, ends[1:], strict=False):
        own = replaced[:, begin:end].clone()
        own[0] -= first
        yield slice(first, first + size), own


def take_over(scores: Tensor, replaced: Tensor) -> None:
    """Give replaced negatives the scores of those that are used instead, in place, [n, N]."""
    if compiles_for(scores):
        from lightning_modules.losses.replacement_kernels import take_over as compiled_take_over

        compiled_take_over(scores, replaced)
    elif replaced.shape[1]:
        row, place, other = replaced
        scores[row, place] = scores[row, other]


def hand_over(gradient: Tensor, replaced: Tensor) -> None:
    """Add the gradients of replaced negatives to those that are used instead, and make them 0, in place, [n, N]."""
    if compiles_for(gradient):
        from lightning_modules.losses.replacement_kernels import hand_over as compiled_hand_over

        compiled_hand_over(gradient, replaced)
    elif replaced.shape[1]:
        row, place, other = replaced
        own = gradient[row, place]
        gradient[row, place] = 0
        gradient.index_put_((row, other), own, accumulate=True)
