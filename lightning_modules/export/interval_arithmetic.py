"""Bounds of what a formula's nodes can be, to know the clamps that never do anything."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

from lightning_modules.losses import Constant, Node, Numerics, Operation

_PRECISIONS = (torch.float32, torch.float64)
_LARGEST_EPS = 1e30


class Interval(NamedTuple):
    """All numbers from ``low`` to ``high``, both included."""

    low: float
    high: float


def needed_clamps(nodes: Sequence[Node], numerics: Numerics) -> list[bool]:
    """Return for every node whether its clamp may change a value or a gradient, for ``pred`` and ``label`` in [0, 1].

    Half precision, where sums and products overflow sooner, is not looked at.
    """
    needed = [False] * len(nodes)
    for dtype in _PRECISIONS:
        for position, value in enumerate(intervals(nodes, numerics, dtype)):
            is_clamped = isinstance(nodes[position], Operation)
            needed[position] |= is_clamped and not _Arithmetic(numerics, dtype).keeps(value)
    return needed


def intervals(nodes: Sequence[Node], numerics: Numerics, dtype: torch.dtype) -> list[Interval | None]:
    """Return what every node can be before its clamp, for ``pred`` and ``label`` in [0, 1].

    This is interval arithmetic (Moore, "Interval Analysis", 1966), which takes every operand for independent of the
    others: the bounds may be wider than need be, never narrower. Nodes that may be nan have none.

    Args:
        nodes: A formula's nodes.
        numerics: The formula's protection.
        dtype: A floating-point type, whose rounding the bounds allow for.
    """
    arithmetic = _Arithmetic(numerics, dtype)
    found: list[Interval | None] = []
    clamped: list[Interval | None] = []
    for node in nodes:
        found.append(arithmetic.value(node, clamped))
        clamped.append(arithmetic.clamp(found[-1]) if isinstance(node, Operation) else found[-1])
    return found


class _Arithmetic:
    """The operators on intervals of numbers of one type."""

    def __init__(self, numerics: Numerics, dtype: torch.dtype) -> None:
        self.dtype, self.limits = dtype, torch.finfo(dtype)
        self.low, self.high = self.number(numerics.low), self.number(numerics.high)
        # An eps that vanishes or overflows lets 0 be divided by 0.
        self.eps = numerics.eps if self.limits.tiny <= numerics.eps <= _LARGEST_EPS else None
        # Sums are off by half of the type's eps, logarithms and the like by a few roundings.
        self.error = 16 * self.limits.eps

    def number(self, value: float) -> float:
        return torch.tensor(min(max(value, -self.limits.max), self.limits.max), dtype=self.dtype).item()

    def keeps(self, value: Interval | None) -> bool:
        return value is not None and self.low <= value.low and value.high <= self.high

    def clamp(self, value: Interval | None) -> Interval | None:
        if value is None:
            return None
        return Interval(*(min(max(end, self.low), self.high) for end in value))

    def value(self, node: Node, clamped: Sequence[Interval | None]) -> Interval | None:
        if isinstance(node, Constant):
            return Interval(self.number(node.value), self.number(node.value))
        if not isinstance(node, Operation):
            return Interval(0.0, 1.0)
        operands = [interval for operand in node.operands if (interval := clamped[operand]) is not None]
        if len(operands) < len(node.operands):
            return None
        return self.applied(node.operator, operands)

    def applied(self, operator: str, operands: Sequence[Interval]) -> Interval | None:
        if operator in _EXACT:
            return _EXACT[operator](*operands)
        if operator in _ROUNDED:
            return self.rounded(_ROUNDED[operator](*operands))
        if operator in _RISING:
            return self.rounded(self.monotone(_RISING[operator], operands[0]))
        if operator in _PROTECTED and self.eps is not None:
            return self.rounded(self.odd(operator, operands[0], self.eps))
        return None

    def rounded(self, exact: Interval) -> Interval:
        """Widen for rounding, which never changes a sign."""
        low, high = self.wider(exact)
        low, high = low - self.limits.tiny, high + self.limits.tiny
        return Interval(max(low, 0.0) if exact.low >= 0 else low, min(high, 0.0) if exact.high <= 0 else high)

    def wider(self, x: Interval) -> Interval:
        inwards, outwards = 1 - self.error, 1 + self.error
        return Interval(x.low * (inwards if x.low > 0 else outwards), x.high * (outwards if x.high > 0 else inwards))

    def monotone(self, function: Callable[[float], float], x: Interval) -> Interval:
        ends = [function(end) for end in self.wider(x)]
        return Interval(min(ends), max(ends))

    def odd(self, operator: str, x: Interval, eps: float) -> Interval:
        """Return what ``sign(x) * function(abs(x) + eps)`` can be."""
        halves = [Interval(0.0, 0.0)] if x.low <= 0 <= x.high else []
        if x.high > 0:
            halves.append(self.protected(operator, Interval(max(x.low, 0.0), x.high), eps))
        if x.low < 0:
            halves.append(_negative(self.protected(operator, Interval(max(-x.high, 0.0), -x.low), eps)))
        return Interval(min(half.low for half in halves), max(half.high for half in halves))

    def protected(self, operator: str, magnitude: Interval, eps: float) -> Interval:
        return self.monotone(_PROTECTED[operator], Interval(magnitude.low + eps, magnitude.high + eps))


def _negative(x: Interval) -> Interval:
    return Interval(-x.high, -x.low)


def _absolute(x: Interval) -> Interval:
    return Interval(max(x.low, -x.high, 0.0), max(x.high, -x.low))


def _add(x: Interval, y: Interval) -> Interval:
    return Interval(x.low + y.low, x.high + y.high)


def _multiply(x: Interval, y: Interval) -> Interval:
    corners = [a * b for a in x for b in y]
    return Interval(min(corners), max(corners))


def _square(x: Interval) -> Interval:
    low, high = _absolute(x)
    return Interval(low * low, high * high)


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x > -700 else 0.0


_EXACT: dict[str, Callable[..., Interval]] = {
    "max": lambda x, y: Interval(max(x.low, y.low), max(x.high, y.high)),
    "min": lambda x, y: Interval(min(x.low, y.low), min(x.high, y.high)),
    "negative": _negative,
    "identity": lambda x: x,
    "relu": lambda x: Interval(max(x.low, 0.0), max(x.high, 0.0)),
    "abs": _absolute,
}
_ROUNDED: dict[str, Callable[..., Interval]] = {"add": _add, "multiply": _multiply, "square": _square}
_RISING: dict[str, Callable[[float], float]] = {
    "sigmoid": _sigmoid,
    "tanh": math.tanh,
    "exp": lambda x: math.exp(min(x, 80.0)),
}
_PROTECTED: dict[str, Callable[[float], float]] = {"log": math.log, "reciprocal": lambda x: 1 / x, "sqrt": math.sqrt}
