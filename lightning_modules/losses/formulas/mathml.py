"""Writes formulas as MathML, which browsers show without a script."""

from collections.abc import Mapping, Sequence

from lightning_modules.losses.formulas.latex import LatexWriter
from lightning_modules.losses.formulas.nodes import Node
from lightning_modules.losses.formulas.operators import ATOM, POWER, PRODUCT, SUM
from lightning_modules.losses.formulas.parsing import MAX_LENGTH
from lightning_modules.losses.formulas.printing import Piece

# Elements are longer than what they show: a variable of five letters is one of 72 characters.
_LONGEST = 20 * MAX_LENGTH
#: The sign of negative numbers and differences, which is wider than a hyphen.
MINUS = "\N{MINUS SIGN}"
_TIMES, _INFINITY = "\N{MIDDLE DOT}", "\N{INFINITY}"
_APPLICATION = "\N{FUNCTION APPLICATION}"


def identifier(name: str) -> str:
    """Return an identifier or a function's name."""
    return f"<mi>{name}</mi>"


def number(text: str) -> str:
    """Return a number."""
    return f"<mn>{text}</mn>"


def mark(text: str) -> str:
    """Return an operator, a comma or a fence."""
    return f"<mo>{text}</mo>"


def row(*elements: str) -> str:
    """Return elements as one."""
    return f"<mrow>{''.join(elements)}</mrow>"


def below(base: str, index: str) -> str:
    """Return an element with an index."""
    return f"<msub>{base}{index}</msub>"


def power(base: str, exponent: str) -> str:
    """Return an element with an exponent."""
    return f"<msup>{base}{exponent}</msup>"


def fraction(above: str, under: str) -> str:
    """Return a fraction."""
    return f"<mfrac>{row(above)}{row(under)}</mfrac>"


def fenced(inside: str, left: str = "(", right: str = ")") -> str:
    """Return elements between parentheses, or between bars, which grow with what is higher than a line."""
    if any(tall in inside for tall in ("<mfrac", "<msqrt")):
        return row(mark(left), inside, mark(right))
    return row(_of_line(left), inside, _of_line(right))


def _of_line(fence: str) -> str:
    return f'<mo stretchy="false">{fence}</mo>'


def called(function: str, inside: str) -> str:
    """Return a function with its operands in parentheses."""
    return row(function, mark(_APPLICATION), fenced(inside))


def _accented(letter: str, accent: str) -> str:
    return f'<mover accent="true">{identifier(letter)}<mo stretchy="false">{accent}</mo></mover>'


_J = identifier("j")
#: The symbol of every variable, the same as in LaTeX.
SYMBOLS: Mapping[str, str] = {
    "pred": _accented("y", "^"),
    "label": identifier("y"),
    "pos": below(identifier("s"), mark("+")),
    "neg": below(identifier("s"), _J),
    "gap": below(identifier("d"), _J),
    "pos_t": below(_accented("s", "\N{MACRON}"), mark("+")),
    "neg_t": below(_accented("s", "\N{MACRON}"), _J),
    "gap_t": below(_accented("d", "\N{MACRON}"), _J),
    "beta": identifier("\N{GREEK SMALL LETTER BETA}"),
    "log_popularity": identifier("\N{GREEK SMALL LETTER PI}"),
}
_FUNCTIONS: Mapping[str, str] = {
    "sigmoid": identifier("\N{GREEK SMALL LETTER SIGMA}"),
    "sum": below(mark("\N{N-ARY SUMMATION}"), _J),
    **{name: below(identifier(name), _J) for name in ("mean", "logmeanexp", "hard")},
}


def to_mathml(nodes: Sequence[Node]) -> str:
    """Return the formula as one element of MathML, with the symbols of its dialect, to stand inside ``<math>``.

    MathML Core, https://www.w3.org/TR/mathml-core/.

    Raises:
        FormulaError: If the result, in which shared nodes are repeated, is too long.
    """
    return row(MathMLWriter(nodes).write())


def scientific(text: str) -> str:
    """Return a number such as ``2.5e-06`` as elements: the mantissa, and the power of ten if there is one."""
    mantissa, _, exponent = text.partition("e")
    shown = number(mantissa.replace("inf", _INFINITY).replace("-", MINUS))
    if not exponent:
        return shown
    return f"{shown}{mark(_TIMES)}{power(number('10'), number(str(int(exponent)).replace('-', MINUS)))}"


class MathMLWriter(LatexWriter):
    """Writes a formula in mathematical notation, as MathML."""

    plus, minus, times = mark("+"), mark(MINUS), mark(_TIMES)
    negation, comma = mark(MINUS), mark(",")
    longest = _LONGEST

    def quotient(self, dividend: int, divisor: int) -> Piece:
        """Write a quotient as a fraction."""
        return Piece(fraction(self.at(dividend, SUM), self.at(divisor, SUM)), POWER)

    def reciprocal(self, divisor: int) -> Piece:
        """Write a reciprocal as a fraction."""
        return Piece(fraction(number("1"), self.at(divisor, SUM)), POWER)

    def square(self, base: int) -> Piece:
        """Write a square."""
        return Piece(power(row(self.at(base, ATOM)), number("2")), POWER)

    def variable(self, name: str) -> str:
        """Write the symbol of a variable."""
        return SYMBOLS[name]

    def constant(self, value: float) -> Piece:
        """Write a number."""
        text = repr(value).removesuffix(".0")
        return Piece(scientific(text), PRODUCT if "e" in text else ATOM)

    def group(self, text: str) -> str:
        """Put parentheses around what is written."""
        return fenced(text)

    def call(self, operator: str, operands: str) -> str:
        """Write an operator with its operands in parentheses."""
        if operator == "abs":
            return fenced(operands, "|", "|")
        if operator == "sqrt":
            return f"<msqrt>{operands}</msqrt>"
        return called(_FUNCTIONS.get(operator, identifier(operator)), operands)
