"""Gradient clipping for each candidate of a population separately."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from lightning_modules.populations.stacked_model import UnmatchedError

#: Changes gradients in place: of rows, float [rows, K, width], and of parameters, float [K, ...].
Clipping = Callable[[Tensor, Sequence[Tensor]], None]


def by_value(rows: Tensor, parameters: Sequence[Tensor], *, largest: float) -> None:
    """Clip every element, as torch's ``clip_grad_value_`` does."""
    for gradient in (rows, *parameters):
        gradient.clamp_(-largest, largest)


def by_norm(rows: Tensor, parameters: Sequence[Tensor], *, largest: float) -> None:
    """Clip the norm of all gradients of each candidate, as torch's ``clip_grad_norm_`` does."""
    norms = [torch.linalg.vector_norm(rows, dim=(0, 2))]
    norms += [torch.linalg.vector_norm(gradient.flatten(1), dim=1) for gradient in parameters]
    scale = (largest / (torch.linalg.vector_norm(torch.stack(norms), dim=0) + 1e-6)).clamp(max=1.0)
    rows.mul_(scale.view(1, -1, 1))
    for gradient in parameters:
        gradient.mul_(scale.view(-1, *(1 for _ in gradient.shape[1:])))


def no_clipping(rows: Tensor, parameters: Sequence[Tensor]) -> None:
    """Leave the gradients unchanged."""


def clipping_of(recipe: Mapping[str, Any]) -> Clipping:
    """Return the clipping that the arguments of a Trainer describe.

    Raises:
        UnmatchedError: If they name an unknown algorithm.
    """
    algorithm, largest = clipping_limit(recipe)
    if largest == math.inf:
        return no_clipping
    return partial({"value": by_value, "norm": by_norm}[algorithm], largest=largest)


def clipping_limit(recipe: Mapping[str, Any]) -> tuple[str, float]:
    """Return the algorithm, "value" or "norm", and the limit of a Trainer's clipping; inf for none.

    Raises:
        UnmatchedError: If the arguments name an unknown algorithm.
    """
    largest, algorithm = recipe.get("gradient_clip_val"), recipe.get("gradient_clip_algorithm") or "norm"
    if not largest or largest < 0:
        return "norm", math.inf
    if algorithm not in ("value", "norm"):
        raise UnmatchedError(f"gradient_clip_algorithm is 'value' or 'norm', got '{algorithm}'")
    return algorithm, float(largest)
