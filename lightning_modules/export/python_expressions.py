"""Writes a formula as PyTorch statements."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

from lightning_modules.losses import Constant, FormulaBased, Node, Operation, Variable
from lightning_modules.losses.formulas.interval_arithmetic import needed_clamps
from lightning_modules.losses.formulas.operators import ATOM, PRODUCT, SUM, UNARY

# Leaves room for the indentation, a name and a clamp in a line of 120 characters.
_LONGEST = 88

#: Python expression of every operator.
TEMPLATES: dict[str, str] = {
    "add": "{} + {}",
    "multiply": "{} * {}",
    "negative": "-{}",
    "identity": "{}",
    "max": "torch.maximum({}, {})",
    "min": "torch.minimum({}, {})",
    "log": "_log({})",
    "square": "torch.square({})",
    "reciprocal": "_reciprocal({})",
    "sigmoid": "torch.sigmoid({})",
    "tanh": "torch.tanh({})",
    "relu": "torch.relu({})",
    "abs": "torch.abs({})",
    "sqrt": "_sqrt({})",
    "exp": "_exp({})",
}
#: Those of operators that only formulas of scores have.
SCORE_TEMPLATES: dict[str, str] = {
    "softplus": "F.softplus({})",
    "detach": "({}).detach()",
    "mean": "_mean({})",
    "sum": "_sum({}, neg)",
    "logmeanexp": "_logmeanexp({})",
    "hard": "_hard({}, neg / temperature)",
}
_EVERY_TEMPLATE = TEMPLATES | SCORE_TEMPLATES
_NAMES = {
    "add": "total",
    "multiply": "product",
    "negative": "negated",
    "max": "larger",
    "min": "smaller",
    "log": "logarithm",
    "square": "squared",
    "reciprocal": "inverse",
    "sqrt": "root",
    "exp": "power",
}


class _Expression(NamedTuple):
    """An expression: its text, its precedence, and the stem of a variable name for it.

    ``is_number`` marks a Python number, which is no tensor. ``subtracted`` is the operand of a negation, so that adding
    the negation can be written as a subtraction.
    """

    text: str
    precedence: int
    meaning: str = ""
    is_number: bool = False
    subtracted: "_Expression | None" = None

    def at(self, lowest: int) -> str:
        return self.text if self.precedence >= lowest else f"({self.text})"

    @property
    def can_be_named(self) -> bool:
        return not self.is_number and not self.text.isidentifier()


class Statements:
    """The body of a function of a formula's variables with the operations of its loss, in the same order.

    Identities and clamps that never apply are left out; nodes that are used more than once become variables.

    Args:
        loss: The loss to write.
        like: The name of a variable whose shape and type constants have.

    Attributes:
        lines: The statements.
        result: The expression of the value.
    """

    def __init__(self, loss: FormulaBased, like: str) -> None:
        self._like = like
        self._nodes = loss.formula.nodes
        self._clamps = needed_clamps(self._nodes, loss.numerics)
        self._uses = _uses(self._nodes, self._clamps)
        self._names: Counter[str] = Counter()
        self.lines: list[str] = []
        self._infix: dict[str, Callable[..., _Expression]] = {
            "add": self._sum,
            "multiply": self._product,
            "negative": _negated,
        }
        pieces: list[_Expression] = []
        for position in range(len(self._nodes)):
            pieces.append(self._piece(position, pieces))
        self.result = self._tensor(pieces[-1]).text

    def _piece(self, position: int, pieces: Sequence[_Expression]) -> _Expression:
        node = self._nodes[position]
        if isinstance(node, Variable):
            return _Expression(node.name, ATOM)
        if isinstance(node, Constant):
            return self._constant(node.value)
        operands = [pieces[operand] for operand in node.operands]
        if _is_dropped(node, self._clamps[position]):
            return operands[0]
        piece = self._operation(node.operator, operands)
        if self._clamps[position]:
            piece = _Expression(f"_clamp({self._tensor(piece).text})", ATOM, piece.meaning)
        return self._named(piece) if self._uses[position] > 1 and piece.can_be_named else piece

    def _operation(self, operator: str, operands: list[_Expression]) -> _Expression:
        """Write an operation; assign operands to variables, the longest first, until it fits into a line."""
        piece = self._written(operator, operands)
        while len(piece.text) > _LONGEST and any(operand.can_be_named for operand in operands):
            longest = max(range(len(operands)), key=lambda place: len(operands[place].text))
            operands[longest] = self._named(operands[longest])
            piece = self._written(operator, operands)
        return piece

    def _written(self, operator: str, operands: Sequence[_Expression]) -> _Expression:
        if operator in self._infix:
            return self._infix[operator](*operands)
        text = _EVERY_TEMPLATE[operator].format(*(self._tensor(operand).text for operand in operands))
        return _Expression(text, ATOM, _NAMES.get(operator, operator))

    def _constant(self, value: float) -> _Expression:
        if value <= torch.finfo(torch.float32).max:
            return _Expression(repr(value), ATOM, is_number=True)
        largest = f"torch.finfo({self._like}.dtype).max"
        return _Expression(f"torch.full_like({self._like}, min({value!r}, {largest}))", ATOM, "constant")

    def _tensor(self, piece: _Expression) -> _Expression:
        if not piece.is_number:
            return piece
        return _Expression(f"torch.full_like({self._like}, {piece.text})", ATOM, "constant")

    def _one_tensor(self, left: _Expression, right: _Expression) -> tuple[_Expression, _Expression]:
        return (self._tensor(left), right) if right.is_number else (left, right)

    def _sum(self, left: _Expression, right: _Expression) -> _Expression:
        left, right = self._one_tensor(left, right)
        if right.subtracted is not None:
            return _Expression(f"{left.at(SUM)} - {right.subtracted.at(PRODUCT)}", SUM, "difference")
        return _Expression(TEMPLATES["add"].format(left.at(SUM), right.at(PRODUCT)), SUM, _NAMES["add"])

    def _product(self, left: _Expression, right: _Expression) -> _Expression:
        left, right = self._one_tensor(left, right)
        text = TEMPLATES["multiply"].format(left.at(PRODUCT), right.at(UNARY))
        return _Expression(text, PRODUCT, _NAMES["multiply"])

    def _named(self, piece: _Expression) -> _Expression:
        self._names[piece.meaning] += 1
        count = self._names[piece.meaning]
        name = f"{piece.meaning}_{count}"
        self.lines.append(f"{name} = {piece.text}")
        return _Expression(name, ATOM)


def _is_dropped(node: Node, is_clamped: bool) -> bool:
    return isinstance(node, Operation) and node.operator == "identity" and not is_clamped


def _uses(nodes: Sequence[Node], clamps: Sequence[bool]) -> Counter[int]:
    """Count how often every node is read, through identities that are left out."""
    origins: list[int] = []
    uses: Counter[int] = Counter()
    for position, (node, is_clamped) in enumerate(zip(nodes, clamps, strict=True)):
        read = [origins[operand] for operand in node.operands] if isinstance(node, Operation) else []
        if _is_dropped(node, is_clamped):
            origins.append(read[0])
        else:
            origins.append(position)
            uses.update(read)
    return uses


def _negated(piece: _Expression) -> _Expression:
    text = TEMPLATES["negative"].format(piece.at(UNARY))
    return _Expression(text, UNARY, _NAMES["negative"], is_number=piece.is_number, subtracted=piece)
