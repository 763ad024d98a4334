"""Arithmetic of scores in few passes over the negatives, which are most of what a listwise loss costs."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def scaled_difference(positive: Tensor, negative: Tensor, scale: float) -> Tensor:
    """Return ``scale (s_j - s+)``: float [n], [n, N] -> [n, N]."""
    return torch.add(-scale * positive[:, None], negative, alpha=scale)


def scaled_logsumexp(scores: Tensor, temperature: float) -> Tensor:
    """Return ``log sum_j exp(s_j / t)`` of every row: float [n, N] -> [n].

    Its gradient is the softmax of which the sum was taken, so that nothing is computed twice: forward and backward
    pass together take less time than those of ``torch.logsumexp`` without a temperature. It has no second derivative.
    """
    value: Tensor = _ScaledLogSumExp.apply(scores, temperature)[0]  # type: ignore[no-untyped-call]
    return value


class _ScaledLogSumExp(torch.autograd.Function):
    """The function of :func:`scaled_logsumexp`, which also returns the powers that its gradient needs."""

    generate_vmap_rule = True

    @staticmethod
    def forward(scores: Tensor, temperature: float) -> tuple[Tensor, Tensor, Tensor]:
        powers = scores * (1 / temperature)
        highest = powers.amax(dim=-1, keepdim=True)
        powers.sub_(highest).exp_()
        total = powers.sum(dim=-1, keepdim=True)
        return (total.log() + highest).squeeze(-1), powers, total

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, float], output: tuple[Tensor, Tensor, Tensor]) -> None:
        _, ctx.temperature = inputs
        _, powers, total = output
        ctx.mark_non_differentiable(powers, total)
        ctx.save_for_backward(powers, total)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor, None]:
        powers, total = ctx.saved_tensors
        return powers * (gradient.unsqueeze(-1) / (total * ctx.temperature)), None
