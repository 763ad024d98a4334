"""Values and derivatives of many programs at once, a node at a time."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd import forward_ad

from lightning_modules.losses.formulas.nodes import Constant
from lightning_modules.losses.formulas.numerics import Numerics
from lightning_modules.losses.formulas.operators import Operator
from lightning_modules.search.space import Programs, SearchSpace

#: Applies an operator to operands at all points, float [programs, points], and returns such a tensor.
Apply = Callable[[Operator, Sequence[Tensor]], Tensor]


class Evaluated(NamedTuple):
    """Loss and its derivative by the prediction at every point, both ``[count, points]``."""

    value: Tensor
    gradient: Tensor


def evaluate(programs: Programs, space: SearchSpace, pred: Tensor, label: Tensor, numerics: Numerics) -> Evaluated:
    """Compute every program's loss and its derivative by ``pred``.

    The derivative is taken in forward mode through the functions that :class:`FormulaLoss` trains with, a node at a
    time for all programs that apply the same operator there; nodes that do not affect a result are skipped.

    Args:
        programs: The programs.
        space: Their search space.
        pred: Predicted probabilities, floating point ``[points]``.
        label: Labels of the same shape and type.
        numerics: Numeric protection of each node.
    """
    count = len(programs)
    values, gradients = _leaf_rows(space, count, pred, label)
    with forward_ad.dual_level():
        # torch adds a number without a derivative in Python, which takes half the time of everything here.
        eps = forward_ad.make_dual(pred.new_tensor(numerics.eps), pred.new_zeros(()))
        for operator, target, sources in applications(programs, space):
            operands = (
                forward_ad.make_dual(values.index_select(0, rows), gradients.index_select(0, rows))
                for rows in sources.unbind(1)
            )
            result = forward_ad.unpack_dual(numerics.clamp(operator(*operands, eps=eps)))
            values.index_copy_(0, target, result.primal)
            gradients.index_copy_(0, target, result.tangent)
    return Evaluated(values[-count:], gradients[-count:])


def applications(programs: Programs, space: SearchSpace) -> Iterator[tuple[Operator, Tensor, Tensor]]:
    """Yield an operator, the rows ``[k]`` that it fills, and the rows ``[k, arity]`` that it reads, node by node."""
    count, leaves = len(programs), len(space.leaves)
    node, program = programs.used(leaves).t().nonzero(as_tuple=True)
    application = node * len(space.operators) + programs.operators[program, node]
    order = application.argsort(stable=True)
    targets = ((leaves + node) * count + program)[order]
    sources = (programs.operands[program, node] * count + program[:, None])[order]
    counts = torch.bincount(application, minlength=space.nodes * len(space.operators)).tolist()
    operators = itertools.cycle(space.operators)
    for operator, target, source in zip(operators, targets.split(counts), sources.split(counts), strict=False):
        if len(target):
            yield operator, target, source[:, : operator.arity]


def _leaf_rows(space: SearchSpace, count: int, pred: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
    """Return values and gradients of all positions, ``[positions * count, points]``, with only the leaves filled in."""
    values = torch.empty((len(space.leaves) + space.nodes) * count, len(pred), dtype=pred.dtype)
    gradients = torch.zeros_like(values)
    for position, leaf in enumerate(space.leaves):
        rows = slice(position * count, (position + 1) * count)
        values[rows] = leaf.value if isinstance(leaf, Constant) else {"pred": pred, "label": label}[leaf.name]
        gradients[rows] = float(not isinstance(leaf, Constant) and leaf.name == "pred")
    return values, gradients


def leaf_gradients(
    programs: Programs, space: SearchSpace, leaves: Tensor, weight: Tensor, apply: Apply, numerics: Numerics
) -> Tensor:
    """Return the derivative of every program's weighted loss by its leaves at every point.

    The derivative is taken in reverse mode, so that all leaves and points cost as much as one; otherwise the
    computation is that of :func:`evaluate`.

    Args:
        programs: The programs.
        space: Their search space.
        leaves: Values of the leaves, floating point ``[leaves, points]``.
        weight: Weight of the last node's value at every point, ``[points]``.
        apply: Applies an operator, which may look at other points.
        numerics: Numeric protection of each node.

    Returns:
        ``[leaves, count, points]``.
    """
    count = len(programs)
    values = leaves.new_empty((len(space.leaves) + space.nodes) * count, len(weight))
    values[: len(leaves) * count] = leaves.repeat_interleave(count, dim=0)
    tape: list[tuple[list[Tensor], Tensor, Tensor, Tensor]] = []
    for operator, target, sources in applications(programs, space):
        with torch.enable_grad():
            operands = [values.index_select(0, rows).requires_grad_() for rows in sources.unbind(1)]
            result = numerics.clamp(apply(operator, operands))
        values.index_copy_(0, target, result.detach())
        tape.append((operands, result, target, sources))
    slopes = torch.zeros_like(values)
    slopes[len(slopes) - count :] = weight
    for operands, result, target, sources in reversed(tape):
        # The result of a detach has no derivative.
        if result.requires_grad:
            found = torch.autograd.grad(result, operands, slopes.index_select(0, target))
            for rows, slope in zip(sources.unbind(1), found, strict=True):
                slopes.index_add_(0, rows, slope)
    return slopes[: len(leaves) * count].view(len(leaves), count, len(weight))
