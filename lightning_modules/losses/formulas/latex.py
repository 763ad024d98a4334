"""Writes formulas as LaTeX."""

from collections.abc import Sequence

from lightning_modules.losses.formulas.dialect import DIALECTS
from lightning_modules.losses.formulas.nodes import Node
from lightning_modules.losses.formulas.operators import ATOM, POWER, PRODUCT, SUM
from lightning_modules.losses.formulas.printing import Piece, TextWriter


def to_latex(nodes: Sequence[Node]) -> str:
    """Return the formula as LaTeX, also valid in mathtext, with the symbols of its dialect.

    Raises:
        FormulaError: If the result, in which shared nodes are repeated, is too long.
    """
    return LatexWriter(nodes).write()


_SYMBOLS = {name: symbol for dialect in DIALECTS for name, symbol in dialect.symbols.items()}
_FUNCTIONS = {
    **{name: rf"\{name}" for name in ("max", "min", "log", "tanh", "exp")},
    "sigmoid": r"\sigma",
    "sum": r"\sum_{j}",
    **{name: rf"\operatorname{{{name}}}_{{j}}" for name in ("mean", "logmeanexp", "hard")},
}


class LatexWriter(TextWriter):
    """Writes a formula in mathematical notation, as LaTeX."""

    times = r" \cdot "

    def factor(self, position: int) -> str:
        """Write the second factor of a product."""
        return self.at(position, POWER)

    def quotient(self, dividend: int, divisor: int) -> Piece:
        """Write a quotient as a fraction."""
        return Piece(rf"\frac{{{self.at(dividend, SUM)}}}{{{self.at(divisor, SUM)}}}", POWER)

    def reciprocal(self, divisor: int) -> Piece:
        """Write a reciprocal as a fraction."""
        return Piece(rf"\frac{{1}}{{{self.at(divisor, SUM)}}}", POWER)

    def square(self, base: int) -> Piece:
        """Write a square."""
        return Piece(f"{self.at(base, ATOM)}^{{2}}", POWER)

    def variable(self, name: str) -> str:
        """Write the symbol of a variable."""
        return _SYMBOLS[name]

    def constant(self, value: float) -> Piece:
        """Write a number."""
        mantissa, _, exponent = repr(value).removesuffix(".0").partition("e")
        if not exponent:
            return Piece(mantissa, ATOM)
        return Piece(rf"{mantissa} \cdot 10^{{{int(exponent)}}}", PRODUCT)

    def group(self, text: str) -> str:
        """Put parentheses around what is written."""
        return rf"\left({text}\right)"

    def call(self, operator: str, operands: str) -> str:
        """Write an operator with its operands in parentheses."""
        if operator == "abs":
            return rf"\left|{operands}\right|"
        if operator == "sqrt":
            return rf"\sqrt{{{operands}}}"
        return _FUNCTIONS.get(operator, rf"\operatorname{{{operator}}}") + self.group(operands)
