"""Writes formulas as text and as LaTeX, with definitions of the operators that training protects."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from lightning_modules.losses.formulas.nodes import Constant, FormulaError, Node, Operation, Variable
from lightning_modules.losses.formulas.numerics import Numerics
from lightning_modules.losses.formulas.parsing import MAX_LENGTH

_SUM, _PRODUCT, _UNARY, _POWER, _ATOM = range(1, 6)


class _Piece(NamedTuple):
    text: str
    binding: int


def to_text(nodes: Sequence[Node]) -> str:
    """Return the formula in infix notation with as few parentheses as its reading allows.

    Raises:
        FormulaError: If the text, where shared parts stand each time they are used, is too long to be read back.
    """
    return _TextWriter(nodes).write()


def to_latex(nodes: Sequence[Node]) -> str:
    r"""Return the formula as LaTeX that mathtext reads too, with ``\hat{y}`` for ``pred`` and ``y`` for ``label``.

    Raises:
        FormulaError: If the result, where shared parts stand each time they are used, is too long.
    """
    return _LatexWriter(nodes).write()


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
            return _Piece(self.variable(node.name), _ATOM)
        if isinstance(node, Constant):
            return self.constant(node.value)
        if node.operator in self.infix:
            return self.infix[node.operator](*node.operands)
        return _Piece(self.call(node.operator, ", ".join(self.at(operand, _SUM) for operand in node.operands)), _ATOM)

    def at(self, position: int, binding: int) -> str:
        """Return an operand's text, in parentheses where it binds less than ``binding``."""
        piece = self.pieces[position]
        return piece.text if piece.binding >= binding else self.group(piece.text)

    def operand_of(self, operator: str, position: int) -> int | None:
        node = self.nodes[position]
        return node.operands[0] if isinstance(node, Operation) and node.operator == operator else None

    def sum(self, left: int, right: int) -> _Piece:
        subtracted = self.operand_of("negative", right)
        if subtracted is not None:
            return _Piece(f"{self.at(left, _SUM)} - {self.at(subtracted, _PRODUCT)}", _SUM)
        return _Piece(f"{self.at(left, _SUM)} + {self.at(right, _PRODUCT)}", _SUM)

    def product(self, left: int, right: int) -> _Piece:
        divisor = self.operand_of("reciprocal", right)
        if divisor is not None and self.nodes[left] != Constant(1.0):
            return self.quotient(left, divisor)
        return _Piece(f"{self.at(left, _PRODUCT)}{self.times}{self.factor(right)}", _PRODUCT)

    def negative(self, operand: int) -> _Piece:
        return _Piece(f"-{self.at(operand, _POWER)}", _UNARY)

    def factor(self, position: int) -> str:
        return self.at(position, _UNARY)

    def quotient(self, dividend: int, divisor: int) -> _Piece:
        return _Piece(f"{self.at(dividend, _PRODUCT)} / {self.at(divisor, _UNARY)}", _PRODUCT)

    def reciprocal(self, divisor: int) -> _Piece:
        return _Piece(f"1 / {self.at(divisor, _UNARY)}", _PRODUCT)

    def square(self, base: int) -> _Piece:
        return _Piece(f"{self.at(base, _ATOM)}**2", _POWER)

    def variable(self, name: str) -> str:
        return name

    def constant(self, value: float) -> _Piece:
        return _Piece(repr(value).removesuffix(".0"), _ATOM)

    def group(self, text: str) -> str:
        return f"({text})"

    def call(self, operator: str, operands: str) -> str:
        return f"{operator}({operands})"


_LATEX_VARIABLES = {"pred": r"\hat{y}", "label": "y"}
_LATEX_FUNCTIONS = {name: rf"\{name}" for name in ("max", "min", "log", "tanh", "exp")} | {"sigmoid": r"\sigma"}


class _LatexWriter(_TextWriter):
    times = r" \cdot "

    def factor(self, position: int) -> str:
        return self.at(position, _POWER)

    def quotient(self, dividend: int, divisor: int) -> _Piece:
        return _Piece(rf"\frac{{{self.at(dividend, _SUM)}}}{{{self.at(divisor, _SUM)}}}", _POWER)

    def reciprocal(self, divisor: int) -> _Piece:
        return _Piece(rf"\frac{{1}}{{{self.at(divisor, _SUM)}}}", _POWER)

    def square(self, base: int) -> _Piece:
        return _Piece(f"{self.at(base, _ATOM)}^{{2}}", _POWER)

    def variable(self, name: str) -> str:
        return _LATEX_VARIABLES[name]

    def constant(self, value: float) -> _Piece:
        mantissa, _, exponent = repr(value).removesuffix(".0").partition("e")
        if not exponent:
            return _Piece(mantissa, _ATOM)
        return _Piece(rf"{mantissa} \cdot 10^{{{int(exponent)}}}", _PRODUCT)

    def group(self, text: str) -> str:
        return rf"\left({text}\right)"

    def call(self, operator: str, operands: str) -> str:
        if operator == "abs":
            return rf"\left|{operands}\right|"
        if operator == "sqrt":
            return rf"\sqrt{{{operands}}}"
        return _LATEX_FUNCTIONS.get(operator, rf"\operatorname{{{operator}}}") + self.group(operands)


#: Definition of every protected operator, with a place for eps.
_MEANINGS: Mapping[str, str] = {
    "log": r"$\log(x)$ is $\operatorname{{sgn}}(x) \ln(|x| + {eps})$",
    "reciprocal": r"$\frac{{a}}{{b}}$ is $a \operatorname{{sgn}}(b) / (|b| + {eps})$",
    "sqrt": r"$\sqrt{{x}}$ is $\operatorname{{sgn}}(x) \sqrt{{|x| + {eps}}}$",
    "exp": r"$\exp(x)$ is $\exp(\min(x, 80))$",
}


def latex_protections(nodes: Sequence[Node], numerics: Numerics) -> list[str]:
    """Return a definition of every protected operator of a formula in LaTeX, and of its clamp."""
    low, high = (_number(each) for each in (numerics.low, numerics.high))
    bounds = f"the result of every operation is kept between ${low}$ and ${high}$"
    return [*(each.format(eps=_number(numerics.eps)) for each in _used(nodes)), bounds]


def _used(nodes: Sequence[Node]) -> list[str]:
    names = {node.operator for node in nodes if isinstance(node, Operation)}
    return [meaning for name, meaning in _MEANINGS.items() if name in names]


def _number(value: float) -> str:
    mantissa, _, exponent = f"{value:g}".partition("e")
    if mantissa.endswith("inf"):
        return mantissa.replace("inf", r"\infty")
    return rf"{mantissa} \cdot 10^{{{int(exponent)}}}" if exponent else mantissa
