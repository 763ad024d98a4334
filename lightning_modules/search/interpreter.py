"""Evaluates a whole batch of programs, value and derivative together."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd import forward_ad

from lightning_modules.losses.nodes import Constant
from lightning_modules.losses.numerics import Numerics
from lightning_modules.losses.operators import Operator
from lightning_modules.search.programs import Programs
from lightning_modules.search.space import SearchSpace


class Evaluated(NamedTuple):
    """Loss and its derivative by the prediction at every point, both ``[count, points]``."""

    value: Tensor
    gradient: Tensor


def evaluate(programs: Programs, space: SearchSpace, pred: Tensor, label: Tensor, numerics: Numerics) -> Evaluated:
    """Compute every program's loss and its derivative by ``pred``.

    The derivative is taken in forward mode through the very functions that :class:`FormulaLoss` trains with, a node
    at a time for all programs that apply the same operator there; nodes that no result needs are skipped.

    Args:
        programs: The programs.
        space: The space that they are of.
        pred: Predicted probabilities, floating point ``[points]``.
        label: Labels of the same shape and type.
        numerics: Protection of each node.
    """
    count, leaves = len(programs), len(space.leaves)
    values, gradients = _leaf_rows(space, count, pred, label)
    used = programs.used(leaves)
    for node in range(space.nodes):
        for number, operator in enumerate(space.operators):
            rows = (used[:, node] & (programs.operators[:, node] == number)).nonzero().squeeze(1)
            sources = programs.operands[rows, node, : operator.arity] * count + rows[:, None]
            target = (leaves + node) * count + rows
            result = _apply(operator, values, gradients, sources, numerics)
            values[target], gradients[target] = result.value, result.gradient
    return Evaluated(values[-count:], gradients[-count:])


def _leaf_rows(space: SearchSpace, count: int, pred: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
    """Return room for all positions, ``[positions * count, points]``, with the leaves filled in."""
    values = torch.empty((len(space.leaves) + space.nodes) * count, len(pred), dtype=pred.dtype)
    gradients = torch.zeros_like(values)
    for position, leaf in enumerate(space.leaves):
        rows = slice(position * count, (position + 1) * count)
        values[rows] = leaf.value if isinstance(leaf, Constant) else {"pred": pred, "label": label}[leaf.name]
        gradients[rows] = float(not isinstance(leaf, Constant) and leaf.name == "pred")
    return values, gradients


def _apply(operator: Operator, values: Tensor, gradients: Tensor, sources: Tensor, numerics: Numerics) -> Evaluated:
    with forward_ad.dual_level():
        operands = [forward_ad.make_dual(values[rows], gradients[rows]) for rows in sources.unbind(1)]
        result = forward_ad.unpack_dual(numerics.clamp(operator(*operands, eps=numerics.eps)))
        return Evaluated(result.primal, result.tangent)
