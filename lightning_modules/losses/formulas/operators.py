"""The operators of formulas, in the order of the published search space, and their precedence in text."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

#: Precedence of what is written infix, as in Python; an atom needs no parentheses.
SUM, PRODUCT, UNARY, POWER, ATOM = range(1, 6)

# exp(80) is finite in single precision, so that a clamped overflow gets the gradient 0 instead of 0 * inf.
_LARGEST_EXPONENT = 80.0


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator of the formula language.

    Attributes:
        name: Its name in formulas.
        arity: Number of operands, 1 or 2.
        commutative: Whether the operands may be exchanged.
        function: Takes the operands, tensors of one shape, and ``eps``; returns a tensor of that shape. On either side
            of 0 it is monotone in each operand, which export relies on to bound its values.
    """

    name: str
    arity: int
    commutative: bool
    function: Callable[..., Tensor]

    def __call__(self, *operands: Tensor, eps: float | Tensor) -> Tensor:
        """Apply the operator element by element; ``eps`` protects log, reciprocal and sqrt near zero."""
        return self.function(*operands, eps)


def _protected_log(x: Tensor, eps: float | Tensor) -> Tensor:
    return torch.sign(x) * torch.log(x.abs() + eps)


def _protected_reciprocal(x: Tensor, eps: float | Tensor) -> Tensor:
    return torch.sign(x) / (x.abs() + eps)


def _protected_sqrt(x: Tensor, eps: float | Tensor) -> Tensor:
    return torch.sign(x) * torch.sqrt(x.abs() + eps)


def _bounded_exp(x: Tensor, _: float | Tensor) -> Tensor:
    return torch.exp(x.clamp(max=_LARGEST_EXPONENT))


#: Operator ``i`` has the published number ``i``; the published search space is the first nine.
OPERATORS: tuple[Operator, ...] = (
    Operator("add", 2, True, lambda x, y, _: x + y),
    Operator("multiply", 2, True, lambda x, y, _: x * y),
    Operator("max", 2, True, lambda x, y, _: torch.maximum(x, y)),
    Operator("min", 2, True, lambda x, y, _: torch.minimum(x, y)),
    Operator("negative", 1, False, lambda x, _: -x),
    Operator("identity", 1, False, lambda x, _: x),
    Operator("log", 1, False, _protected_log),
    Operator("square", 1, False, lambda x, _: x * x),
    Operator("reciprocal", 1, False, _protected_reciprocal),
    Operator("sigmoid", 1, False, lambda x, _: torch.sigmoid(x)),
    Operator("tanh", 1, False, lambda x, _: torch.tanh(x)),
    Operator("relu", 1, False, lambda x, _: torch.relu(x)),
    Operator("abs", 1, False, lambda x, _: x.abs()),
    Operator("sqrt", 1, False, _protected_sqrt),
    Operator("exp", 1, False, _bounded_exp),
)

OPERATOR_BY_NAME: dict[str, Operator] = {operator.name: operator for operator in OPERATORS}
