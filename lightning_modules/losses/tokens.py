"""Cuts a formula's text into names, numbers and symbols, and points at the place of an error."""

import re
from collections.abc import Iterator
from typing import NamedTuple, NoReturn

from lightning_modules.losses.nodes import FormulaError

_TOKEN = re.compile(
    r"(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<name>[A-Za-z_][A-Za-z_0-9]*)"
    r"|(?P<symbol>\*\*|[-+*/^(),])"
    r"|(?P<space>\s+)"
)


class Token(NamedTuple):
    """A piece of text: its kind (number, name, symbol or end), its text in small letters, and where it starts."""

    kind: str
    text: str
    position: int


def tokens(text: str) -> Iterator[Token]:
    """Yield the tokens of a formula's text; the last one is its end.

    Raises:
        FormulaError: If there is a character that no formula has.
    """
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            fail(text, position, f"unexpected character {text[position]!r}; use names, numbers and + - * / ** ( ) ,")
        if match.lastgroup != "space":
            yield Token(str(match.lastgroup), match.group().lower(), position)
        position = match.end()
    yield Token("end", "", position)


def fail(text: str, position: int, reason: str) -> NoReturn:
    """Refuse a formula's text.

    Raises:
        FormulaError: Always; the message shows the reason and the place.
    """
    start = max(0, position - 60)
    excerpt = re.sub(r"\s", " ", text[start : position + 20])
    caret = " " * (position - start) + "^"
    raise FormulaError(f"formula, character {position + 1}: {reason}\n  {excerpt}\n  {caret}")
