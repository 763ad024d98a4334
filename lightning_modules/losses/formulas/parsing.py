"""Reads a formula's text: a recursive-descent parser whose errors point at the place."""

import re
from collections.abc import Iterator
from typing import NamedTuple, NoReturn

from lightning_modules.losses.formulas.dialect import Dialect, dialect_of
from lightning_modules.losses.formulas.nodes import (
    MAX_DEPTH,
    Constant,
    FormulaError,
    Node,
    NodeTable,
    Variable,
    unknown_name,
)
from lightning_modules.losses.formulas.operators import POWER, PRODUCT, SUM, UNARY
from lightning_modules.utilities.messages import shortened

#: Length in characters of the longest text that is read or written.
MAX_LENGTH = 200_000
# One operator needs at most a minus and a parenthesis of its own.
_MAX_NESTING = 2 * MAX_DEPTH
_SHOWN = 40

_TOKEN = re.compile(
    r"(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<name>[A-Za-z_][A-Za-z_0-9]*)"
    r"|(?P<symbol>\*\*|[-+*/^(),])"
    r"|(?P<space>\s+)"
    r"|(?P<other>.)",
    re.DOTALL,
)
_POWERS = ("**", "^")
_PRECEDENCES = {
    "+": SUM,
    "-": SUM,
    "*": PRODUCT,
    "/": PRODUCT,
    **dict.fromkeys(_POWERS, POWER),
}


def parse(text: str, dialect: Dialect | None = None) -> list[Node]:
    """Return the nodes of the formula in ``text``, the result last.

    Nothing is executed, and nested or long texts are refused before they exhaust the stack.

    Args:
        text: The formula.
        dialect: Its dialect; None takes the one that has most of the text's names.

    Raises:
        FormulaError: If the text is not a formula; the message shows the place and the reason.
    """
    if len(text) > MAX_LENGTH:
        raise FormulaError(f"formula has {len(text)} characters, at most {MAX_LENGTH} are read; write a shorter one")
    return _Parser(text, dialect or dialect_of(text)).formula()


class _Token(NamedTuple):
    """A piece of the text: its kind (number, name, symbol or end), its text in lower case, and where it starts."""

    kind: str
    text: str
    position: int


def _tokens(text: str) -> Iterator[_Token]:
    for match in _TOKEN.finditer(text):
        kind, token = str(match.lastgroup), match.group()
        if kind == "other":
            reason = f"unexpected character {token!r}; use names, numbers and + - * / ** ( ) ,"
            _fail(text, match.start(), reason)
        if kind != "space":
            yield _Token(kind, token.lower(), match.start())
    yield _Token("end", "", len(text))


def _fail(text: str, position: int, reason: str) -> NoReturn:
    start = max(0, position - 60)
    excerpt = re.sub(r"\s", " ", text[start : position + 20])
    caret = " " * (position - start) + "^"
    raise FormulaError(f"formula, character {position + 1}: {reason}\n  {excerpt}\n  {caret}")


class _Parser:
    """One method per grammar rule; each returns the position of its result in the node table."""

    def __init__(self, text: str, dialect: Dialect) -> None:
        self.text = text
        self.dialect = dialect
        self.tokens = _tokens(text)
        self.token = next(self.tokens)
        self.table = NodeTable()
        self.nesting = 0

    def formula(self) -> list[Node]:
        result = self.expression(SUM)
        if self.token.kind != "end":
            self.fail(f"expected an operator or the end, found {self.found()}")
        return self.table.nodes[: result + 1]

    def expression(self, lowest: int) -> int:
        """Read an operand and the infix operators of at least the given precedence that follow it."""
        left = self.operand()
        while _PRECEDENCES.get(self.token.text, 0) >= lowest:
            symbol = self.take()
            if symbol.text in _POWERS:
                left = self.square(left)
            else:
                left = self.combined(symbol, left, self.expression(_PRECEDENCES[symbol.text] + 1))
        return left

    def operand(self) -> int:
        if self.token.kind == "number":
            return self.number()
        if self.token.kind == "name":
            return self.named()
        if self.token.text == "-":
            minus = self.take()
            return self.operation(minus, "negative", self.nested(UNARY))
        if self.token.text != "(":
            self.fail(f"expected a name, a number, '-' or '(', found {self.found()}")
        self.take()
        inner = self.nested(SUM)
        self.expect(")")
        return inner

    def number(self) -> int:
        value = float(self.token.text)
        if value == float("inf"):
            self.fail(f"number '{shortened(self.token.text, _SHOWN)}' is too large; numbers must be finite")
        self.take()
        return self.table.add(Constant(value))

    def named(self) -> int:
        name = self.token
        if not self.dialect.has([name.text]):
            self.fail(unknown_name(name.text, self.dialect.names))
        self.take()
        if name.text in self.dialect.variables:
            return self.table.add(Variable(name.text))
        return self.operation(name, name.text, *self.operands(name))

    def operands(self, name: _Token) -> list[int]:
        if self.token.text != "(":
            self.fail(f"operator '{name.text}' needs its operands in parentheses, as in {name.text}(...)")
        operands: list[int] = []
        while not operands or self.token.text == ",":
            self.take()
            operands.append(self.nested(SUM))
        self.expect(")")
        return operands

    def nested(self, lowest: int) -> int:
        if self.nesting == _MAX_NESTING:
            self.fail(f"more than {_MAX_NESTING} parentheses, calls and minuses inside each other; write a flatter one")
        self.nesting += 1
        inner = self.expression(lowest)
        self.nesting -= 1
        return inner

    def square(self, base: int) -> int:
        exponent = self.token
        if exponent.kind != "number" or float(exponent.text) != 2:
            self.fail("the only exponent is 2; write other powers as products")
        self.take()
        if self.token.text in _POWERS:
            self.fail("a power of a power needs parentheses, as in (pred**2)**2")
        return self.operation(exponent, "square", base)

    def combined(self, symbol: _Token, left: int, right: int) -> int:
        if symbol.text == "-":
            right = self.operation(symbol, "negative", right)
        if symbol.text == "/":
            right = self.operation(symbol, "reciprocal", right)
            if self.table.nodes[left] == Constant(1.0):
                return right
        return self.operation(symbol, "add" if symbol.text in "+-" else "multiply", left, right)

    def operation(self, token: _Token, operator: str, *operands: int) -> int:
        try:
            return self.table.operation(operator, *operands)
        except FormulaError as error:
            _fail(self.text, token.position, str(error))

    def take(self) -> _Token:
        taken = self.token
        self.token = next(self.tokens, taken)
        return taken

    def expect(self, symbol: str) -> None:
        if self.token.text != symbol:
            self.fail(f"expected an operator or '{symbol}', found {self.found()}")
        self.take()

    def found(self) -> str:
        return "the end" if self.token.kind == "end" else f"'{shortened(self.token.text, _SHOWN)}'"

    def fail(self, reason: str) -> NoReturn:
        _fail(self.text, self.token.position, reason)
