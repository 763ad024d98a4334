"""Formulas as sums of products with exact coefficients, the normal form in which they are simplified."""

import math
from collections.abc import Container, Iterable, Sequence
from fractions import Fraction
from typing import Any, TypeAlias

from lightning_modules.losses.formulas.dialect import VARIABLES
from lightning_modules.losses.formulas.nodes import Constant, Node, NodeTable, Operation, Variable, reaching
from lightning_modules.losses.formulas.operators import EVERY_OPERATOR

#: A node's position, how often a product is multiplied by it, and how often it is divided by it.
Factor: TypeAlias = tuple[int, int, int]
Product: TypeAlias = tuple[Factor, ...]
#: The coefficient of every product; that of the empty product is the constant term.
Sum: TypeAlias = dict[Product, Fraction]

_ONE: Product = ()
_NEVER_NEGATIVE = ("abs", "relu", "exp", "sigmoid", "softplus", "square")
_NUMBER_OF = {name: number for number, name in enumerate(EVERY_OPERATOR)}


class InexactError(ArithmeticError):
    """A number that is no floating-point number, so that a formula cannot hold it."""


def exact(number: Fraction) -> Fraction:
    """Return the number.

    Raises:
        InexactError: If no floating-point number is equal to it.
    """
    try:
        is_exact = float(number) == number
    except OverflowError:
        is_exact = False
    if not is_exact:
        raise InexactError
    return number


def scaled(terms: Sum, number: Fraction | int) -> Sum:
    """Return ``number * terms``.

    Raises:
        InexactError: If a coefficient is no floating-point number.
    """
    return {product: exact(value * number) for product, value in terms.items()} if number else {}


def constant_of(terms: Sum) -> Fraction | None:
    """Return the value of a sum that is constant, and ``None`` for any other."""
    return terms.get(_ONE, Fraction(0)) if terms.keys() <= {_ONE} else None


def _content(numbers: Iterable[Fraction]) -> Fraction:
    """Return the greatest common divisor of a sum's coefficients, or 1 unless all are simple fractions."""
    magnitudes = [abs(number) for number in numbers]
    denominator = math.lcm(*(magnitude.denominator for magnitude in magnitudes))
    numerator = math.gcd(*(int(magnitude * denominator) for magnitude in magnitudes))
    is_simple = denominator <= 1024 and max(magnitudes) <= 2**40
    return Fraction(numerator, denominator) if is_simple else Fraction(1)


class NormalForms:
    """Converts between the nodes of one formula and sums of products.

    The factors of products, atoms, are variables and operations other than sums and products.

    Attributes:
        table: All nodes, of atoms and of sums written as nodes.
        keys: Sort key of every node: its depth, then its operator, then the keys of its operands.
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
            return {_ONE: Fraction(node.value)} if node.value else {}
        return self.atom(self._added(node))

    def operation(self, operator: str, *operands: int) -> int:
        """Return the position of an operation on nodes of the table, adding it if it is new."""
        return self._added(Operation(operator, operands))

    def atom(self, position: int) -> Sum:
        """Return a single node as a sum."""
        return {((position, 1, 0),): Fraction(1)}

    def chain(self, operator: str, operands: Sequence[int]) -> int:
        """Return the position of ``operator`` applied from left to right."""
        result, *rest = operands
        for operand in rest:
            result = self.operation(operator, result, operand)
        return result

    def first(self, terms: Sum) -> Product:
        """Return the first product of a nonzero sum in canonical order."""
        return min(terms, key=self._order)

    def is_negative(self, terms: Sum) -> bool:
        """Return whether the first coefficient of a sum is negative, which holds for one of ``x`` and ``-x``."""
        return bool(terms) and terms[self.first(terms)] < 0

    def depending(self, terms: Sum, variables: Container[str]) -> Sum:
        """Return the terms of a sum that have a gradient by one of the variables."""
        known = reaching(self.table.nodes, variables)
        return {product: number for product, number in terms.items() if any(known[atom] for atom, *_ in product)}

    def as_product(self, terms: Sum) -> tuple[Fraction, Product]:
        """Return a nonzero sum as a number times a product; a sum of several terms becomes one atom."""
        if len(terms) == 1:
            ((product, number),) = terms.items()
            return number, product
        number = _content(terms.values()) * (-1 if self.is_negative(terms) else 1)
        inner = {product: value / number for product, value in terms.items()}
        position = self.written(inner)
        self._sums[position] = inner
        if self.is_never_negative(inner):
            self._never_negative.add(position)
        return number, ((position, 1, 0),)

    def as_sum(self, number: Fraction, factors: Iterable[Factor]) -> Sum:
        """Return a number times factors as a sum, with the powers of equal atoms added.

        Raises:
            InexactError: If a coefficient is no floating-point number.
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
        """Return whether a sum is known to be >= 0 for every input."""
        return all(
            number >= 0 and all(map(self._factor_is_never_negative, product)) for product, number in terms.items()
        )

    def written(self, terms: Sum) -> int:
        """Write a sum as nodes, positive terms first, and return the position of the last one."""
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

    def _term(self, product: Product, number: Fraction) -> int:
        factors = self._powers([(atom, multiplied) for atom, multiplied, _ in product if multiplied])
        divisors = self._powers([(atom, divided) for atom, _, divided in product if divided])
        if divisors:
            factors.append(self.operation("reciprocal", self.chain("multiply", divisors)))
        if number == 1 and factors:
            return self.chain("multiply", factors)
        constant = self._added(Constant(float(number)))
        # Simplifying the result again would distribute a number that is directly multiplied by a sum.
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
