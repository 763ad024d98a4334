"""Writes formulas as text."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from lightning_modules.losses.formulas.nodes import Constant, FormulaError, Node, Operation, Variable
from lightning_modules.losses.formulas.operators import ATOM, POWER, PRODUCT, SUM, UNARY
from lightning_modules.losses.formulas.parsing import MAX_LENGTH


class Piece(NamedTuple):
    """What is written of a node, and how strongly its outermost operator binds."""

    text: str
    precedence: int


def to_text(nodes: Sequence[Node]) -> str:
    """Return the formula in infix notation with the fewest parentheses.

    Raises:
        FormulaError: If the text, in which shared nodes are repeated, is too long to be read back.
    """
    return TextWriter(nodes).write()


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


class TextWriter:
    """Writes a formula in infix notation; the base of all writers.

    Args:
        nodes: The formula's nodes.

    Attributes:
        plus, minus, times: What stands between operands.
        negation: What stands before a negative operand.
        comma: What stands between the operands of a call.
        longest: The most characters that may be written.
    """

    plus, minus, times = " + ", " - ", " * "
    negation, comma = "-", ", "
    longest = MAX_LENGTH

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes = nodes
        self.pieces: list[Piece] = []
        self.infix: dict[str, Callable[..., Piece]] = {
            "add": self.sum,
            "multiply": self.product,
            "negative": self.negative,
            "reciprocal": self.reciprocal,
            "square": self.square,
        }

    def write(self) -> str:
        """Return what is written of the last node.

        Raises:
            FormulaError: If it is too long.
        """
        for node in self.nodes:
            piece = self.piece(node)
            if len(piece.text) > self.longest:
                raise FormulaError(
                    f"formula is longer than {self.longest} characters when written out, because parts of it are used "
                    "many times; simplify it or keep its nodes instead"
                )
            self.pieces.append(piece)
        return self.pieces[-1].text

    def piece(self, node: Node) -> Piece:
        """Return what is written of a node whose operands are written."""
        if isinstance(node, Variable):
            return Piece(self.variable(node.name), ATOM)
        if isinstance(node, Constant):
            return self.constant(node.value)
        if node.operator in self.infix:
            return self.infix[node.operator](*node.operands)
        operands = self.comma.join(self.at(operand, SUM) for operand in node.operands)
        return Piece(self.call(node.operator, operands), ATOM)

    def at(self, position: int, lowest: int) -> str:
        """Return an operand's text, in parentheses if its precedence is lower than ``lowest``."""
        piece = self.pieces[position]
        return piece.text if piece.precedence >= lowest else self.group(piece.text)

    def operand_of(self, operator: str, position: int) -> int | None:
        """Return the operand of a node, if it is this operator of one operand."""
        node = self.nodes[position]
        return node.operands[0] if isinstance(node, Operation) and node.operator == operator else None

    def sum(self, left: int, right: int) -> Piece:
        """Write a sum, or a difference."""
        subtracted = self.operand_of("negative", right)
        if subtracted is not None:
            return Piece(f"{self.at(left, SUM)}{self.minus}{self.at(subtracted, PRODUCT)}", SUM)
        return Piece(f"{self.at(left, SUM)}{self.plus}{self.at(right, PRODUCT)}", SUM)

    def product(self, left: int, right: int) -> Piece:
        """Write a product, or a quotient."""
        divisor = self.operand_of("reciprocal", right)
        if divisor is not None and self.nodes[left] != Constant(1.0):
            return self.quotient(left, divisor)
        return Piece(f"{self.at(left, PRODUCT)}{self.times}{self.factor(right)}", PRODUCT)

    def negative(self, operand: int) -> Piece:
        """Write a negative."""
        return Piece(f"{self.negation}{self.at(operand, POWER)}", UNARY)

    def factor(self, position: int) -> str:
        """Write the second factor of a product."""
        return self.at(position, UNARY)

    def quotient(self, dividend: int, divisor: int) -> Piece:
        """Write a quotient."""
        return Piece(f"{self.at(dividend, PRODUCT)} / {self.at(divisor, UNARY)}", PRODUCT)

    def reciprocal(self, divisor: int) -> Piece:
        """Write a reciprocal."""
        return Piece(f"1 / {self.at(divisor, UNARY)}", PRODUCT)

    def square(self, base: int) -> Piece:
        """Write a square."""
        return Piece(f"{self.at(base, ATOM)}**2", POWER)

    def variable(self, name: str) -> str:
        """Write a variable."""
        return name

    def constant(self, value: float) -> Piece:
        """Write a number."""
        return Piece(repr(value).removesuffix(".0"), ATOM)

    def group(self, text: str) -> str:
        """Put parentheses around what is written."""
        return f"({text})"

    def call(self, operator: str, operands: str) -> str:
        """Write an operator with its operands in parentheses."""
        return f"{operator}({operands})"
