"""Bounds of a formula's nodes by interval arithmetic, to leave out clamps that never change a value."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_modules.losses.formulas.dialect import POINTWISE
from lightning_modules.losses.formulas.nodes import Constant, Node, Operation, Variable
from lightning_modules.losses.formulas.numerics import Numerics
from lightning_modules.losses.formulas.operators import EVERY_OPERATOR

#: The types that bounds hold for; half precision overflows sooner.
PRECISIONS = (torch.float32, torch.float64)
# A search keeps a few hundred formulas in use at a time.
_KEPT = 4096
_LARGEST_EPS = 1e30
_PROTECTED = ("log", "reciprocal", "sqrt")
_EXACT = ("max", "min", "negative", "identity", "relu", "abs", "detach")
#: Rounding errors of one operator, in units of the type's eps.
_ROUNDINGS = 16
#: With sums of no more than 10^8 of them, nothing overflows.
_LARGEST_SCORE = 1e30
#: Much more than what rounding adds to a mean of so many, as a share of the largest of them, and in itself.
_ROOM_OF_MEAN = 0.01, 1.0


class Interval(NamedTuple):
    """All numbers from ``low`` to ``high``, both included."""

    low: float
    high: float


@lru_cache(_KEPT)
def needed_clamps(nodes: tuple[Node, ...], numerics: Numerics) -> tuple[bool, ...]:
    """Return for every node whether its clamp may change a value or a gradient, in one of :data:`PRECISIONS`.

    ``pred`` and ``label`` are in [0, 1], and scores any numbers up to 1e30.
    """
    needed = [False] * len(nodes)
    for dtype in PRECISIONS:
        low, high = _limits(numerics, dtype)
        for position, bound in enumerate(intervals(nodes, numerics, dtype)):
            is_inside = bound is not None and low <= bound.low and bound.high <= high
            needed[position] |= isinstance(nodes[position], Operation) and not is_inside
    return tuple(needed)


def intervals(nodes: Sequence[Node], numerics: Numerics, dtype: torch.dtype) -> list[Interval | None]:
    """Return bounds of every node before its clamp, for ``pred`` and ``label`` in [0, 1] and scores up to 1e30.

    Moore, "Interval Analysis", 1966. Operands are taken as independent, so that bounds may be wider than necessary but
    never narrower. Operators are evaluated at the ends of their operands' intervals and around 0, between which they
    are monotone.

    Args:
        nodes: The formula's nodes.
        numerics: The formula's protection.
        dtype: Floating-point type in which the formula is evaluated, whose rounding the bounds include.

    Returns:
        The bounds, or None for nodes that may be nan.
    """
    limits = _limits(numerics, dtype)
    found: list[Interval | None] = []
    clamped: list[Interval | None] = []
    for node in nodes:
        if isinstance(node, Operation):
            found.append(_applied(node.operator, [clamped[each] for each in node.operands], numerics.eps, dtype))
            clamped.append(_clamped(found[-1], *limits))
        else:
            found.append(_of_leaf(node, dtype))
            clamped.append(found[-1])
    return found


def _of_leaf(node: Constant | Variable, dtype: torch.dtype) -> Interval:
    if isinstance(node, Constant):
        number = _nearest(node.value, dtype)
        return Interval(number, number)
    return Interval(0.0, 1.0) if POINTWISE.has([node.name]) else Interval(-_LARGEST_SCORE, _LARGEST_SCORE)


def _limits(numerics: Numerics, dtype: torch.dtype) -> tuple[float, float]:
    return _nearest(numerics.low, dtype), _nearest(numerics.high, dtype)


def _nearest(value: float, dtype: torch.dtype) -> float:
    largest = torch.finfo(dtype).max
    return torch.tensor(min(max(value, -largest), largest), dtype=dtype).item()


def _clamped(bound: Interval | None, low: float, high: float) -> Interval | None:
    return None if bound is None else Interval(*(min(max(end, low), high) for end in bound))


def _applied(operator: str, operands: Sequence[Interval | None], eps: float, dtype: torch.dtype) -> Interval | None:
    limits = torch.finfo(dtype)
    # An eps that vanishes or overflows divides 0 by 0.
    if operator in _PROTECTED and not limits.tiny / limits.eps <= eps <= _LARGEST_EPS:
        return None
    if EVERY_OPERATOR[operator].aggregates:
        return _aggregated(operator, operands[0], limits.max)
    points = [_points(operand, dtype) for operand in operands if operand is not None]
    if len(points) < len(operands):
        return None
    values = EVERY_OPERATOR[operator](*torch.meshgrid(*points, indexing="ij"), eps=eps)
    if values.isnan().any():
        return None
    bound = Interval(values.min().item(), values.max().item())
    return bound if operator in _EXACT else _widened(bound, limits)


def _aggregated(operator: str, operand: Interval | None, largest: float) -> Interval | None:
    """Return bounds of an aggregation: a mean of some kind lies between its values, and a sum anywhere."""
    if operand is None or max(map(abs, operand)) > _LARGEST_SCORE:
        return None
    if operator == "sum":
        return Interval(-largest, largest)
    share, least = _ROOM_OF_MEAN
    room = share * max(map(abs, operand)) + least
    return Interval(operand.low - room, operand.high + room)


def _points(operand: Interval, dtype: torch.dtype) -> Tensor:
    """Return the ends of an interval, and 0 and its neighbours, where functions turn or jump, if they lie inside."""
    tiny = torch.finfo(dtype).tiny
    inside = (point for point in (-tiny, 0.0, tiny) if operand.low <= point <= operand.high)
    return torch.tensor([*operand, *inside], dtype=dtype)


def _widened(bound: Interval, limits: torch.finfo) -> Interval:
    """Widen for rounding, which never changes a sign."""
    room_below, room_above = (_ROUNDINGS * limits.eps * abs(end) + limits.tiny for end in bound)
    low, high = bound.low - room_below, bound.high + room_above
    return Interval(max(low, 0.0) if bound.low >= 0 else low, min(high, 0.0) if bound.high <= 0 else high)
