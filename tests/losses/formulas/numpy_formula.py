"""An evaluator of formulas that shares nothing with the package's own: recursion over the tree, in numpy."""

from typing import NamedTuple

import numpy as np

from lightning_modules.losses import Constant, Formula, Node, Numerics, Variable


class Dual(NamedTuple):
    """A value and its derivative by ``pred`` at every point."""

    value: np.ndarray
    slope: np.ndarray


def _odd(magnitude):
    return lambda x, eps: np.sign(x) * magnitude(np.abs(x) + eps)


FUNCTIONS = {
    "add": lambda x, y, eps: np.add(x, y),
    "multiply": lambda x, y, eps: np.multiply(x, y),
    "max": lambda x, y, eps: np.where(x > y, x, y),
    "min": lambda x, y, eps: np.where(x < y, x, y),
    "negative": lambda x, eps: np.negative(x),
    "identity": lambda x, eps: x,
    "log": _odd(np.log),
    "square": lambda x, eps: x**2,
    "reciprocal": lambda x, eps: np.where(x == 0, 0.0, np.sign(x) / np.where(x == 0, 1.0, np.abs(x) + eps)),
    "sigmoid": lambda x, eps: 0.5 * (1 + np.tanh(x / 2)),
    "tanh": lambda x, eps: np.tanh(x),
    "relu": lambda x, eps: np.where(x > 0, x, 0.0),
    "abs": lambda x, eps: np.where(x < 0, -x, x),
    "sqrt": _odd(np.sqrt),
    "exp": lambda x, eps: np.exp(np.minimum(x, 80)),
}


def _away_from_0(derivative):
    """A protected function is 0 at 0, where it jumps; it has no slope there."""
    return lambda x, eps: np.where(x == 0, 0.0, derivative(np.where(x == 0, 1.0, np.abs(x)) + eps))


def _of_larger(x, y):
    return np.where(x == y, 0.5, x > y)


#: Derivatives by every operand, given the operands; equal operands of max and min share theirs.
SLOPES = {
    "add": lambda x, y, eps: (1.0, 1.0),
    "multiply": lambda x, y, eps: (y, x),
    "max": lambda x, y, eps: (_of_larger(x, y), _of_larger(y, x)),
    "min": lambda x, y, eps: (_of_larger(y, x), _of_larger(x, y)),
    "negative": lambda x, eps: (-1.0,),
    "identity": lambda x, eps: (1.0,),
    "log": lambda x, eps: (_away_from_0(lambda size: 1 / size)(x, eps),),
    "square": lambda x, eps: (2 * x,),
    "reciprocal": lambda x, eps: (_away_from_0(lambda size: -1 / size**2)(x, eps),),
    "sigmoid": lambda x, eps: (0.25 * (1 - np.tanh(x / 2) ** 2),),
    "tanh": lambda x, eps: (1 - np.tanh(x) ** 2,),
    "relu": lambda x, eps: (np.where(x > 0, 1.0, 0.0),),
    "abs": lambda x, eps: (np.sign(x),),
    "sqrt": lambda x, eps: (_away_from_0(lambda size: 0.5 / np.sqrt(size))(x, eps),),
    "exp": lambda x, eps: (np.where(x > 80, 0.0, np.exp(np.minimum(x, 80))),),
}


def numpy_duals(formula: Formula, pred: np.ndarray, label: np.ndarray, numerics: Numerics) -> list[Dual]:
    """Return the value and slope of every node, in the formula's order."""
    known: dict[int, Dual] = {}

    def dual(position: int) -> Dual:
        if position not in known:
            known[position] = computed(formula.nodes[position])
        return known[position]

    def computed(node: Node) -> Dual:
        if isinstance(node, Variable):
            return {"pred": Dual(pred, np.ones_like(pred)), "label": Dual(label, np.zeros_like(pred))}[node.name]
        if isinstance(node, Constant):
            return Dual(np.full(pred.shape, node.value), np.zeros_like(pred))
        operands = [dual(operand) for operand in node.operands]
        values = [operand.value for operand in operands]
        result = FUNCTIONS[node.operator](*values, numerics.eps)
        slopes = SLOPES[node.operator](*values, numerics.eps)
        slope = sum(factor * operand.slope for factor, operand in zip(slopes, operands, strict=True))
        inside = (result >= numerics.low) & (result <= numerics.high)
        return Dual(np.minimum(np.maximum(result, numerics.low), numerics.high), np.where(inside, slope, 0.0))

    with np.errstate(all="ignore"):
        return [dual(position) for position in range(len(formula.nodes))]


def numpy_values(formula: Formula, pred: np.ndarray, label: np.ndarray, numerics: Numerics) -> list[np.ndarray]:
    """Return the value of every node, in the formula's order."""
    return [dual.value for dual in numpy_duals(formula, pred, label, numerics)]
