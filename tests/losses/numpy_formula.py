"""An evaluator of formulas that shares nothing with the package's own: recursion over the tree, in numpy."""

import numpy as np

from lightning_modules.losses import Constant, Formula, Numerics, Variable


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


def numpy_values(formula: Formula, pred: np.ndarray, label: np.ndarray, numerics: Numerics) -> list[np.ndarray]:
    """Return the value of every node, in the formula's order."""
    known: dict[int, np.ndarray] = {}

    def value(position: int) -> np.ndarray:
        if position not in known:
            known[position] = computed(formula.nodes[position])
        return known[position]

    def computed(node) -> np.ndarray:
        if isinstance(node, Variable):
            return {"pred": pred, "label": label}[node.name]
        if isinstance(node, Constant):
            return np.full(pred.shape, node.value)
        result = FUNCTIONS[node.operator](*(value(operand) for operand in node.operands), numerics.eps)
        return np.minimum(np.maximum(result, numerics.low), numerics.high)

    with np.errstate(all="ignore"):
        return [value(position) for position in range(len(formula.nodes))]
