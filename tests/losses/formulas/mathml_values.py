"""Computes what a reader of MathML would: from the elements alone, with the rules of mathematical notation."""

import re
from collections.abc import Mapping, Sequence
from xml.etree.ElementTree import Element, fromstring

import numpy as np

from lightning_modules.losses import Numerics
from tests.losses.formulas.numpy_formula import FUNCTIONS

_NAMES = {"\N{GREEK SMALL LETTER SIGMA}": "sigmoid"}
_SPACES = "\N{FUNCTION APPLICATION}"


class Reader:
    """Reads an expression from left to right: sums of products of signed factors.

    Args:
        variables: The values of the symbols, by the text that they show.
        numerics: The protection of the operators.
    """

    def __init__(self, variables: Mapping[str, np.ndarray], numerics: Numerics) -> None:
        self.variables = variables
        self.numerics = numerics

    def value(self, markup: str) -> np.ndarray:
        with np.errstate(all="ignore"):
            return self._of([fromstring(markup)])

    def _of(self, elements: Sequence[Element]) -> np.ndarray:
        value, rest = self._sum(_flat(elements))
        assert not rest, f"not read: {[''.join(each.itertext()) for each in rest]}"
        return value

    def _sum(self, rest):
        value, rest = self._product(rest)
        while rest and _text(rest[0]) in ("+", "\N{MINUS SIGN}"):
            other, after = self._product(rest[1:])
            other = other if _text(rest[0]) == "+" else self._applied("negative", other)
            value, rest = self._applied("add", value, other), after
        return value, rest

    def _product(self, rest):
        if _text(rest[0]) == "\N{MINUS SIGN}":
            value, rest = self._factor(rest[1:])
            value = self._applied("negative", value)
        else:
            value, rest = self._factor(rest)
        while rest and _text(rest[0]) == "\N{MIDDLE DOT}":
            power = _exponent(rest[1])
            if power is not None:
                # The rest of a number.
                value, rest = np.full_like(value, float(f"{float(value.flat[0])!r}e{power}")), rest[2:]
                continue
            other, rest = self._factor(rest[1:])
            value = self._applied("multiply", value, other)
        return value, rest

    def _factor(self, rest):
        first, rest = rest[0], rest[1:]
        shown = _text(first)
        if shown in self.variables:
            return self.variables[shown], rest
        if first.tag == "mi" and rest:
            operands, rest = self._fenced(rest, "(", ")")
            return self._applied(_NAMES.get(shown, shown), *operands), rest
        if first.tag == "mn":
            return np.full_like(next(iter(self.variables.values())), float(shown)), rest
        if first.tag == "mfrac":
            above, under = (self._of([each]) for each in first)
            return self._applied("multiply", above, self._applied("reciprocal", under)), rest
        if first.tag == "msup":
            assert _text(first[1]) == "2"
            return self._applied("square", self._of([first[0]])), rest
        if first.tag == "msqrt":
            return self._applied("sqrt", self._of([*first])), rest
        operands, rest = self._fenced([first, *rest], *("||" if shown == "|" else "()"))
        return (self._applied("abs", *operands) if shown == "|" else operands[0]), rest

    def _fenced(self, rest, left, right):
        assert _text(rest[0]) == left
        values, rest = [], rest[1:]
        while True:
            value, rest = self._sum(rest)
            values.append(value)
            end, rest = _text(rest[0]), rest[1:]
            if end == right:
                return values, rest
            assert end == ","

    def _applied(self, name, *operands):
        found = FUNCTIONS[name](*operands, self.numerics.eps)
        return np.minimum(np.maximum(found, self.numerics.low), self.numerics.high)


def _flat(elements):
    """Rows group nothing that is not in parentheses too."""
    flat = []
    for element in elements:
        if element.tag == "mrow":
            flat += _flat([*element])
        elif _text(element) not in _SPACES:
            flat.append(element)
    return flat


def _text(element):
    return "".join(element.itertext()) if element.tag in ("mi", "mo", "mn", "mover", "msub") else element.tag


def _exponent(element):
    if element.tag == "msup" and re.fullmatch("10", "".join(element[0].itertext())) and element[0].tag == "mn":
        return int("".join(element[1].itertext()).replace("\N{MINUS SIGN}", "-"))
    return None
