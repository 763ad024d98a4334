"""The operators of formulas, in the order of the published search space, and their precedence in text."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

#: Precedence of what is written infix, as in Python; an atom needs no parentheses.
SUM, PRODUCT, UNARY, POWER, ATOM = range(1, 6)

# exp(80) is finite in single precision, so that a clamped overflow gets the gradient 0 instead of 0 * inf.
_LARGEST_EXPONENT = 80.0


@dataclass(frozen=True, slots=True)
class NegativeScores:
    """What aggregations over the negatives take beside their operand.

    Attributes:
        score: Scores of the negatives in units of the temperature, float [..., N].
        log_weight: Logarithms of the negatives' importance weights, the mean of which is 1, in a shape that broadcasts
            with ``score``; None where all are 1.
    """

    score: Tensor
    log_weight: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator of the formula language.

    Attributes:
        name: Its name in formulas.
        arity: Number of operands, 1 or 2.
        commutative: Whether the operands may be exchanged.
        function: Takes the operands, tensors of one shape, and ``eps``; returns a tensor of that shape. On either side
            of 0 it is monotone in each operand, which export relies on to bound its values.
        aggregates: Whether it makes one value of those of all negatives.
    """

    name: str
    arity: int
    commutative: bool
    function: Callable[..., Tensor]
    aggregates: ClassVar[bool] = False

    def __call__(self, *operands: Tensor, eps: float | Tensor, negatives: NegativeScores | None = None) -> Tensor:  # noqa: ARG002
        """Apply the operator element by element; ``eps`` protects log, reciprocal and sqrt near zero."""
        return self.function(*operands, eps)


class Aggregation(Operator):
    """An operator that makes one value of those of all negatives: float [..., N] or [..., 1] -> [..., 1].

    A value of one column is that of every negative. ``function`` takes it and the :class:`NegativeScores`.
    """

    __slots__ = ()
    aggregates: ClassVar[bool] = True

    def __call__(self, *operands: Tensor, eps: float | Tensor, negatives: NegativeScores | None = None) -> Tensor:  # noqa: ARG002
        """Aggregate over the last dimension."""
        return self.function(*operands, negatives)


def _sign(x: Tensor) -> Tensor:
    """Return the sign, whose gradient of 0 takes as long to compute as any."""
    return torch.sign(x.detach())


def _protected_log(x: Tensor, eps: float | Tensor) -> Tensor:
    return _sign(x) * torch.log(x.abs() + eps)


def _protected_reciprocal(x: Tensor, eps: float | Tensor) -> Tensor:
    return _sign(x) / (x.abs() + eps)


def _protected_sqrt(x: Tensor, eps: float | Tensor) -> Tensor:
    return _sign(x) * torch.sqrt(x.abs() + eps)


def _bounded_exp(x: Tensor, _: float | Tensor) -> Tensor:
    # As clamp, which takes three times as long backwards.
    return torch.exp(F.hardtanh(x, -math.inf, _LARGEST_EXPONENT))


def _mean(x: Tensor, negatives: NegativeScores) -> Tensor:
    weighted = x if negatives.log_weight is None else x * negatives.log_weight.exp()
    return weighted.mean(dim=-1, keepdim=True)


def _sum(x: Tensor, negatives: NegativeScores) -> Tensor:
    return negatives.score.shape[-1] * _mean(x, negatives)


def _logmeanexp(x: Tensor, negatives: NegativeScores) -> Tensor:
    weighted = x if negatives.log_weight is None else x + negatives.log_weight
    return torch.logsumexp(weighted, dim=-1, keepdim=True) - math.log(weighted.shape[-1])


def _hard(x: Tensor, negatives: NegativeScores) -> Tensor:
    score = negatives.score if negatives.log_weight is None else negatives.score + negatives.log_weight
    return (score.detach().softmax(dim=-1) * x).sum(dim=-1, keepdim=True)


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

#: What losses of scores have beside these.
SCORE_OPERATORS: tuple[Operator, ...] = (
    Operator("softplus", 1, False, lambda x, _: F.softplus(x)),
    Operator("detach", 1, False, lambda x, _: x.detach()),
)

#: ``hard`` is the mean weighted by the softmax of the negatives' scores, which gets no gradient.
AGGREGATIONS: tuple[Operator, ...] = (
    Aggregation("mean", 1, False, _mean),
    Aggregation("sum", 1, False, _sum),
    Aggregation("logmeanexp", 1, False, _logmeanexp),
    Aggregation("hard", 1, False, _hard),
)

#: The operators of every dialect, and those of losses of one prediction.
EVERY_OPERATOR: dict[str, Operator] = {each.name: each for each in (*OPERATORS, *SCORE_OPERATORS, *AGGREGATIONS)}
OPERATOR_BY_NAME: dict[str, Operator] = {operator.name: operator for operator in OPERATORS}
