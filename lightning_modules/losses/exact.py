"""Arithmetic that refuses to round, so that a formula's numbers do not depend on the order of its operations."""

import math
from collections.abc import Callable, Iterable
from fractions import Fraction


class InexactError(ArithmeticError):
    """A result that no floating-point number is equal to."""


def exact_sum(x: float, y: float) -> float:
    """Return ``x + y``.

    Raises:
        InexactError: If it had to be rounded.
    """
    return _exact(x + y, lambda: Fraction(x) + Fraction(y))


def exact_product(x: float, y: float) -> float:
    """Return ``x * y``.

    Raises:
        InexactError: If it had to be rounded.
    """
    return _exact(x * y, lambda: Fraction(x) * Fraction(y))


def exact_reciprocal(x: float) -> float:
    """Return ``1 / x`` for an ``x`` that is not 0.

    Raises:
        InexactError: If it had to be rounded.
    """
    return _exact(1.0 / x, lambda: 1 / Fraction(x))


def _exact(rounded: float, true_value: Callable[[], Fraction]) -> float:
    if not math.isfinite(rounded) or Fraction(rounded) != true_value():
        raise InexactError
    return rounded


def content(numbers: Iterable[float]) -> float:
    """Return the largest number that divides all of a sum's numbers, as long as they are simple fractions."""
    fractions = [abs(Fraction(number)) for number in numbers]
    denominator = math.lcm(*(fraction.denominator for fraction in fractions))
    numerator = math.gcd(*(int(fraction * denominator) for fraction in fractions))
    simple = denominator <= 1024 and max(fractions) <= 2**40
    return numerator / denominator if simple else 1.0
