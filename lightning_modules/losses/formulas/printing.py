"""Writes formulas as text and as LaTeX."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from lightning_modules.losses.formulas.dialect import DIALECTS
from lightning_modules.losses.formulas.nodes import Constant, FormulaError, Node, Operation, Variable
from lightning_modules.losses.formulas.operators import ATOM, POWER, PRODUCT, SUM, UNARY
from lightning_modules.losses.formulas.parsing import MAX_LENGTH


class _Piece(NamedTuple):
    text: str
    precedence: int


def to_text(nodes: Sequence[Node]) -> str:
    """Return the formula in infix notation with the fewest parentheses.

    Raises:
        FormulaError: If the text, in which shared nodes are repeated, is too long to be read back.
    """
    return _TextWriter(nodes).write()


def to_latex(nodes: Sequence[Node]) -> str:
    """Return the formula as LaTeX, also valid in mathtext, with the symbols of its dialect.

    Raises:
        FormulaError: If the result, in which shared nodes are repeated, is too long.
    """
    return _LatexWriter(nodes).write()


def num_written(nodes: Sequence[Node]) -> int:
    """Return the number of operators in the text of a formula: a difference is one, and so is a quotient."""
    counts: list[int] = []
    for node in nodes:
        operands = node.operands if isinstance(node, Operation) else ()
        counts.append(bool(operands) + sum(counts[operand] for operand in operands) - _joined(node, nodes))
    return counts[-1]


def has_factor(nodes: Sequence[Node]) -> bool:
    """Return whether the text of a formula is a product with a number in front, or behind."""
    node = nodes[-1]
    while isinstance(node, Operation) and node.operator == "multiply":
        if any(isinstance(nodes[operand], Constant) for operand in node.operands):
            return not _joined(node, nodes)
        node = nodes[node.operands[0]]
    return False


def _joined(node: Node, nodes: Sequence[Node]) -> bool:
    """Return whether an operation and its last operand are written as one operator."""
    if not isinstance(node, Operation) or len(node.operands) < 2:
        return False
    left, right = (nodes[operand] for operand in node.operands)
    inner = right.operator if isinstance(right, Operation) else ""
    is_quotient = node.operator == "multiply" and inner == "reciprocal" and left != Constant(1.0)
    return is_quotient or (node.operator == "add" and inner == "negative")


class _TextWriter:
    times = " * "

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes = nodes
        self.pieces: list[_Piece] = []
        self.infix: dict[str, Callable[..., _Piece]] = {
            "add": self.sum,
            "multiply": self.product,
            "negative": self.negative,
            "reciprocal": self.reciprocal,
            "square": self.square,
        }

    def write(self) -> str:
        for node in self.nodes:
            piece = self.piece(node)
            if len(piece.text) > MAX_LENGTH:
                raise FormulaError(
                    f"formula is longer than {MAX_LENGTH} characters when written out, because parts of it are used "
                    "many times; simplify it or keep its nodes instead"
                )
            self.pieces.append(piece)
        return self.pieces[-1].text

    def piece(self, node: Node) -> _Piece:
        if isinstance(node, Variable):
            return _Piece(self.variable(node.name), ATOM)
        if isinstance(node, Constant):
            return self.constant(node.value)
        if node.operator in self.infix:
            return self.infix[node.operator](*node.operands)
        return _Piece(self.call(node.operator, ", ".join(self.at(operand, SUM) for operand in node.operands)), ATOM)

    def at(self, position: int, lowest: int) -> str:
        """Return an operand's text, in parentheses if its precedence is lower than ``lowest``."""
        piece = self.pieces[position]
        return piece.text if piece.precedence >= lowest else self.group(piece.text)

    def operand_of(self, operator: str, position: int) -> int | None:
        node = self.nodes[position]
        return node.operands[0] if isinstance(node, Operation) and node.operator == operator else None

    def sum(self, left: int, right: int) -> _Piece:
        subtracted = self.operand_of("negative", right)
        if subtracted is not None:
            return _Piece(f"{self.at(left, SUM)} - {self.at(subtracted, PRODUCT)}", SUM)
        return _Piece(f"{self.at(left, SUM)} + {self.at(right, PRODUCT)}", SUM)

    def product(self, left: int, right: int) -> _Piece:
        divisor = self.operand_of("reciprocal", right)
        if divisor is not None and self.nodes[left] != Constant(1.0):
            return self.quotient(left, divisor)
        return _Piece(f"{self.at(left, PRODUCT)}{self.times}{self.factor(right)}", PRODUCT)

    def negative(self, operand: int) -> _Piece:
        return _Piece(f"-{self.at(operand, POWER)}", UNARY)

    def factor(self, position: int) -> str:
        return self.at(position, UNARY)

    def quotient(self, dividend: int, divisor: int) -> _Piece:
        return _Piece(f"{self.at(dividend, PRODUCT)} / {self.at(divisor, UNARY)}", PRODUCT)

    def reciprocal(self, divisor: int) -> _Piece:
        return _Piece(f"1 / {self.at(divisor, UNARY)}", PRODUCT)

    def square(self, base: int) -> _Piece:
        return _Piece(f"{self.at(base, ATOM)}**2", POWER)

    def variable(self, name: str) -> str:
        return name

    def constant(self, value: float) -> _Piece:
        return _Piece(repr(value).removesuffix(".0"), ATOM)

    def group(self, text: str) -> str:
        return f"({text})"

    def call(self, operator: str, operands: str) -> str:
        return f"{operator}({operands})"


_LATEX_VARIABLES = {name: symbol for dialect in DIALECTS for name, symbol in dialect.symbols.items()}
_LATEX_FUNCTIONS = {
    **{name: rf"\{name}" for name in ("max", "min", "log", "tanh", "exp")},
    "sigmoid": r"\sigma",
    "sum": r"\sum_{j}",
    **{name: rf"\operatorname{{{name}}}_{{j}}" for name in ("mean", "logmeanexp", "hard")},
}


class _LatexWriter(_TextWriter):
    times = r" \cdot "

    def factor(self, position: int) -> str:
        return self.at(position, POWER)

    def quotient(self, dividend: int, divisor: int) -> _Piece:
        return _Piece(rf"\frac{{{self.at(dividend, SUM)}}}{{{self.at(divisor, SUM)}}}", POWER)

    def reciprocal(self, divisor: int) -> _Piece:
        return _Piece(rf"\frac{{1}}{{{self.at(divisor, SUM)}}}", POWER)

    def square(self, base: int) -> _Piece:
        return _Piece(f"{self.at(base, ATOM)}^{{2}}", POWER)

    def variable(self, name: str) -> str:
        return _LATEX_VARIABLES[name]

    def constant(self, value: float) -> _Piece:
        mantissa, _, exponent = repr(value).removesuffix(".0").partition("e")
        if not exponent:
            return _Piece(mantissa, ATOM)
        return _Piece(rf"{mantissa} \cdot 10^{{{int(exponent)}}}", PRODUCT)

    def group(self, text: str) -> str:
        return rf"\left({text}\right)"

    def call(self, operator: str, operands: str) -> str:
        if operator == "abs":
            return rf"\left|{operands}\right|"
        if operator == "sqrt":
            return rf"\sqrt{{{operands}}}"
        return _LATEX_FUNCTIONS.get(operator, rf"\operatorname{{{operator}}}") + self.group(operands)
