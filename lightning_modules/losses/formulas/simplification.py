"""Simplifies a formula to a canonical form under real arithmetic, for reading and comparing.

The canonical form has the formula's value in exact arithmetic with ``eps = 0`` and without clamps, where log,
reciprocal and sqrt are odd functions and ``reciprocal(0) = 0``. Constants are folded only where the result is a
floating-point number, without rounding. With the numerics of a search, formulas of one canonical form may have
different values, so a simplified formula does not replace the original in training.
"""

from collections.abc import Callable, Container, Sequence
from fractions import Fraction

from lightning_modules.losses.formulas.nodes import FormulaError, Node, Operation, canonical
from lightning_modules.losses.formulas.normal_form import (
    InexactError,
    NormalForms,
    Sum,
    constant_of,
    exact,
    scaled,
)
from lightning_modules.losses.formulas.operators import EVERY_OPERATOR

#: Operators, their operands and values that are known exactly.
_KNOWN_VALUES = (
    ("log", 1, 0.0),
    ("sqrt", 0, 0.0),
    ("sqrt", 1, 1.0),
    ("exp", 0, 1.0),
    ("tanh", 0, 0.0),
    ("sigmoid", 0, 0.5),
)
_EXACT_VALUES = {(operator, Fraction(operand)): Fraction(value) for operator, operand, value in _KNOWN_VALUES}
_ODD = ("log", "sqrt", "tanh")
_DUAL = {"max": "min", "min": "max"}


def simplify(nodes: Sequence[Node]) -> tuple[Node, ...]:
    """Return one canonical program for all formulas that the rules find equal for every real input.

    A formula whose canonical form would be too deep is returned unchanged.
    """
    return _rewritten(nodes, lambda _, terms: terms)


def without_offset(nodes: Sequence[Node], predicted: Container[str]) -> tuple[Node, ...]:
    """Return :func:`simplify` of a formula without the terms that have no gradient by a predicted variable.

    A formula that has only such terms keeps them.
    """
    return _rewritten(nodes, lambda forms, terms: forms.depending(terms, predicted) or terms)


def _rewritten(nodes: Sequence[Node], change: Callable[[NormalForms, Sum], Sum]) -> tuple[Node, ...]:
    simplifier = _Simplifier()
    try:
        sums: list[Sum] = []
        for node in nodes:
            sums.append(simplifier.simplified(node, sums))
        result = simplifier.forms.written(change(simplifier.forms, sums[-1]))
    except FormulaError:
        return canonical(nodes)
    return canonical(simplifier.forms.table.nodes[: result + 1])


class _Simplifier:
    """One method per operator, from normal forms of the operands to that of the result."""

    def __init__(self) -> None:
        self.forms = NormalForms()
        self.extrema: dict[int, tuple[str, list[Sum]]] = {}
        self.rules: dict[str, Callable[..., Sum]] = {
            "add": self.add,
            "multiply": self.multiply,
            "max": lambda x, y: self.extremum("max", x, y),
            "min": lambda x, y: self.extremum("min", x, y),
            "negative": lambda x: scaled(x, -1),
            "identity": lambda x: x,
            "square": lambda x: self.multiply(x, x),
            "reciprocal": self.reciprocal,
            "relu": self.relu,
            "abs": self.absolute,
        }

    def simplified(self, node: Node, sums: Sequence[Sum]) -> Sum:
        if not isinstance(node, Operation):
            return self.forms.leaf(node)
        operands = [sums[operand] for operand in node.operands]
        if node.operator not in self.rules:
            plain = self.function if len(operands) == 1 else self.as_it_is
            return plain(node.operator, *operands)
        try:
            return self.rules[node.operator](*operands)
        except InexactError:
            same = node.operator == "multiply" and operands[0] == operands[1]
            return self.as_it_is("square", operands[0]) if same else self.as_it_is(node.operator, *operands)

    def as_it_is(self, operator: str, *operands: Sum) -> Sum:
        positions = [self.forms.written(operand) for operand in operands]
        if EVERY_OPERATOR[operator].commutative:
            positions.sort(key=self.forms.keys.__getitem__)
        return self.forms.atom(self.forms.operation(operator, *positions))

    def add(self, x: Sum, y: Sum) -> Sum:
        numbers = {product: exact(x.get(product, Fraction(0)) + y.get(product, Fraction(0))) for product in x | y}
        return {product: number for product, number in numbers.items() if number}

    def multiply(self, x: Sum, y: Sum) -> Sum:
        for constant, other in ((constant_of(x), y), (constant_of(y), x)):
            if constant is not None:
                return scaled(other, constant)
        (number, product), (other_number, other_product) = self.forms.as_product(x), self.forms.as_product(y)
        return self.forms.as_sum(exact(number * other_number), product + other_product)

    def reciprocal(self, x: Sum) -> Sum:
        if not x:
            return {}
        number, product = self.forms.as_product(x)
        flipped = [(atom, divided, multiplied) for atom, multiplied, divided in product]
        try:
            return self.forms.as_sum(exact(1 / number), flipped)
        except InexactError:
            inverse = self.forms.operation("reciprocal", self.forms.written({(): abs(number)}))
            return self.forms.as_sum(Fraction(-1 if number < 0 else 1), [(inverse, 1, 0), *flipped])

    def relu(self, x: Sum) -> Sum:
        if self.forms.is_never_negative(x):
            return x
        return {} if self.forms.is_never_negative(scaled(x, -1)) else self.as_it_is("relu", x)

    def absolute(self, x: Sum) -> Sum:
        for signed in (x, scaled(x, -1)):
            if self.forms.is_never_negative(signed):
                return signed
        number, product = self.forms.as_product(x)
        return self.forms.as_sum(abs(number), (part for factor in product for part in self.forms.absolute(factor)))

    def function(self, operator: str, x: Sum) -> Sum:
        constant = constant_of(x)
        if constant is not None and (operator, constant) in _EXACT_VALUES:
            value = _EXACT_VALUES[operator, constant]
            return {(): value} if value else {}
        if operator in _ODD and self.forms.is_negative(x):
            return scaled(self.function(operator, scaled(x, -1)), -1)
        if operator == "log" and self.starts_with_division(x):
            return self.log_of_quotient(x)
        return self.as_it_is(operator, x)

    def starts_with_division(self, x: Sum) -> bool:
        if len(x) != 1 or constant_of(x) is not None:
            return False
        return self.forms.first(x)[0][1] == 0

    def log_of_quotient(self, x: Sum) -> Sum:
        try:
            exact(1 / self.forms.as_product(x)[0])
        except InexactError:
            return self.as_it_is("log", x)
        return scaled(self.function("log", self.reciprocal(x)), -1)

    def extremum(self, operator: str, x: Sum, y: Sum) -> Sum:
        operands = _distinct([*self.flattened(operator, x), *self.flattened(operator, y)], operator)
        if len(operands) == 1:
            return operands[0]
        negated = [scaled(operand, -1) for operand in operands]
        candidates = [(operator, operands, 1), (_DUAL[operator], negated, -1)]
        operator, operands, sign = min(candidates, key=lambda candidate: self.extremum_key(*candidate[:2]))
        positions = sorted(map(self.forms.written, operands), key=self.forms.keys.__getitem__)
        position = self.forms.chain(operator, positions)
        self.extrema[position] = operator, operands
        return scaled(self.forms.atom(position), sign)

    def flattened(self, operator: str, x: Sum) -> list[Sum]:
        for position, number in ((product[0][0], number) for product, number in x.items() if len(product) == 1):
            sign, inner = (1, operator) if number > 0 else (-1, _DUAL[operator])
            found, operands = self.extrema.get(position, ("", []))
            if found == inner and x == scaled(self.forms.atom(position), sign):
                return [scaled(operand, sign) for operand in operands]
        return [x]

    def extremum_key(self, operator: str, operands: Sequence[Sum]) -> tuple[object, ...]:
        keys = sorted(self.forms.keys[self.forms.written(operand)] for operand in operands)
        return sum(map(self.forms.is_negative, operands)), keys, operator


def _distinct(operands: Sequence[Sum], operator: str) -> list[Sum]:
    """Return the operands without duplicates, and with one constant at most."""
    choose = max if operator == "max" else min
    constants = [constant for operand in operands if (constant := constant_of(operand)) is not None]
    others = {frozenset(operand.items()): operand for operand in operands if constant_of(operand) is None}
    if not constants:
        return list(others.values())
    constant = choose(constants)
    return [*others.values(), {(): constant} if constant else {}]
