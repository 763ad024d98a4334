"""Arithmetic that refuses to round, so that a formula's numbers do not depend on the order of its operations."""

import math
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import Any, TypeAlias

from lightning_modules.losses.formulas.nodes import VARIABLES, Constant, Node, NodeTable, Operation, Variable
from lightning_modules.losses.formulas.operators import OPERATORS


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


Factor: TypeAlias = tuple[int, int, int]
Product: TypeAlias = tuple[Factor, ...]
Sum: TypeAlias = dict[Product, float]

_ONE: Product = ()
_NEVER_NEGATIVE = ("abs", "relu", "exp", "sigmoid", "square")
_NUMBER_OF = {operator.name: number for number, operator in enumerate(OPERATORS)}


def scaled(terms: Sum, number: float) -> Sum:
    """Return ``number * terms``.

    Raises:
        InexactError: If it had to be rounded.
    """
    return {product: exact_product(value, number) for product, value in terms.items()} if number else {}


def constant_of(terms: Sum) -> float | None:
    """Return the value of a sum without atoms, and ``None`` for any other."""
    return terms.get(_ONE, 0.0) if terms.keys() <= {_ONE} else None


class NormalForms:
    """The atoms of one formula, and the way from sums of products to nodes and back.

    Attributes:
        table: The nodes that the atoms are, and those that the sums are written as.
        keys: For every node what it is sorted by: its depth, then its operator, then its operands in turn.
    """

    def __init__(self) -> None:
        self.table = NodeTable()
        self.keys: list[tuple[Any, ...]] = []
        self._sums: dict[int, Sum] = {}
        self._inside_abs: dict[int, int] = {}
        self._never_negative: set[int] = set()

    def leaf(self, node: Variable | Constant) -> Sum:
        """Return a variable or a constant as a sum."""
        if isinstance(node, Constant):
            return {_ONE: node.value} if node.value else {}
        return self.atom(self._added(node))

    def operation(self, operator: str, *operands: int) -> int:
        """Return the position of an operation on nodes of the table."""
        return self._added(Operation(operator, operands))

    def atom(self, position: int) -> Sum:
        """Return the sum that is nothing but one node."""
        return {((position, 1, 0),): 1.0}

    def chain(self, operator: str, operands: Sequence[int]) -> int:
        """Return the position of ``operator`` applied from left to right."""
        result, *rest = operands
        for operand in rest:
            result = self.operation(operator, result, operand)
        return result

    def first(self, terms: Sum) -> Product:
        """Return the product that stands first in a sum that is not 0."""
        return min(terms, key=self._order)

    def is_negative(self, terms: Sum) -> bool:
        """Return whether the first number of a sum is negative: of a sum and its negative, one is."""
        return bool(terms) and terms[self.first(terms)] < 0

    def depending(self, terms: Sum, variable: Variable) -> Sum:
        """Return the terms of a sum in which a variable stands."""
        known: list[bool] = []
        for node in self.table.nodes:
            inside = isinstance(node, Operation) and any(known[operand] for operand in node.operands)
            known.append(node == variable or inside)
        return {product: number for product, number in terms.items() if any(known[atom] for atom, *_ in product)}

    def as_product(self, terms: Sum) -> tuple[float, Product]:
        """Return a sum that is not 0 as a number times a product; several terms become one atom."""
        if len(terms) == 1:
            ((product, number),) = terms.items()
            return number, product
        number = math.copysign(content(terms.values()), -1.0 if self.is_negative(terms) else 1.0)
        inner = {product: value / number for product, value in terms.items()}
        position = self.written(inner)
        self._sums[position] = inner
        if self.is_never_negative(inner):
            self._never_negative.add(position)
        return number, ((position, 1, 0),)

    def as_sum(self, number: float, factors: Iterable[Factor]) -> Sum:
        """Return a number times factors, with powers gathered, as a sum.

        Raises:
            InexactError: If a number had to be rounded.
        """
        product = self._gathered(factors)
        if len(product) == 1 and product[0][1:] == (1, 0) and product[0][0] in self._sums:
            return scaled(self._sums[product[0][0]], number)
        return {product: number}

    def absolute(self, factor: Factor) -> list[Factor]:
        """Return the factors of a factor's absolute value."""
        atom, multiplied, divided = factor
        if self._factor_is_never_negative(factor):
            return [factor]
        position = self.operation("abs", atom)
        self._inside_abs[position] = atom
        odd = (position, multiplied % 2, divided % 2)
        return [odd, (atom, multiplied - odd[1], divided - odd[2])]

    def is_never_negative(self, terms: Sum) -> bool:
        """Return whether a sum is seen to be >= 0 everywhere."""
        return all(
            number >= 0 and all(map(self._factor_is_never_negative, product)) for product, number in terms.items()
        )

    def written(self, terms: Sum) -> int:
        """Return the position of the node that a sum is written as: positive terms first, left to right."""
        if not terms:
            return self._added(Constant(0.0))
        products = sorted(terms, key=self._order)
        added = [self._term(product, terms[product]) for product in products if terms[product] > 0]
        subtracted = [self._term(product, -terms[product]) for product in products if terms[product] < 0]
        if not added:
            return self.operation("negative", self.chain("add", subtracted))
        return self.chain("add", [self.chain("add", added), *(self.operation("negative", term) for term in subtracted)])

    def _added(self, node: Node) -> int:
        position = self.table.add(node)
        if position == len(self.keys):
            self.keys.append(self._key(node))
            if isinstance(node, Operation) and self._is_never_negative(node):
                self._never_negative.add(position)
        return position

    def _key(self, node: Node) -> tuple[Any, ...]:
        if isinstance(node, Variable):
            return 0, VARIABLES.index(node.name)
        if isinstance(node, Constant):
            return 0, len(VARIABLES), node.value
        depth = 1 + max(self.keys[operand][0] for operand in node.operands)
        return depth, _NUMBER_OF[node.operator], *(self.keys[operand] for operand in node.operands)

    def _is_never_negative(self, node: Operation) -> bool:
        inverse = node.operator == "reciprocal" and isinstance(self.table.nodes[node.operands[0]], Constant)
        return inverse or node.operator in _NEVER_NEGATIVE

    def _order(self, product: Product) -> tuple[Any, ...]:
        return product == _ONE, [(self.keys[atom], *powers) for atom, *powers in product]

    def _factor_is_never_negative(self, factor: Factor) -> bool:
        atom, multiplied, divided = factor
        return atom in self._never_negative or (multiplied + divided) % 2 == 0

    def _gathered(self, factors: Iterable[Factor]) -> Product:
        powers: dict[int, tuple[int, int]] = {}

        def multiply(atom: int, multiplied: int, divided: int) -> None:
            before = powers.get(atom, (0, 0))
            powers[atom] = before[0] + multiplied, before[1] + divided

        for factor in factors:
            multiply(*factor)
        for atom in powers.keys() & self._inside_abs.keys():
            multiplied, divided = powers[atom]
            powers[atom] = multiplied % 2, divided % 2
            multiply(self._inside_abs[atom], multiplied - multiplied % 2, divided - divided % 2)
        reduced = ((atom, *_reduced(*power)) for atom, power in powers.items() if power != (0, 0))
        return tuple(sorted(reduced, key=lambda factor: self.keys[factor[0]]))

    def _term(self, product: Product, number: float) -> int:
        factors = self._powers([(atom, multiplied) for atom, multiplied, _ in product if multiplied])
        divisors = self._powers([(atom, divided) for atom, _, divided in product if divided])
        if divisors:
            factors.append(self.operation("reciprocal", self.chain("multiply", divisors)))
        if number == 1 and factors:
            return self.chain("multiply", factors)
        constant = self._added(Constant(number))
        # A number right before a sum would be multiplied into it when the result is simplified again.
        if factors and factors[0] in self._sums:
            return self.operation("multiply", constant, self.chain("multiply", factors))
        return self.chain("multiply", [constant, *factors])

    def _powers(self, powers: list[tuple[int, int]]) -> list[int]:
        factors = [atom for atom, power in powers if power % 2]
        halves = [(atom, power // 2) for atom, power in powers if power > 1]
        if halves:
            factors.append(self.operation("square", self.chain("multiply", self._powers(halves))))
        return factors


def _reduced(multiplied: int, divided: int) -> tuple[int, int]:
    if multiplied == divided:
        return 1, 1
    both = min(multiplied, divided)
    return multiplied - both, divided - both
