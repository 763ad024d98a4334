"""The nodes of a formula, and a table of unique nodes."""

import difflib
import math
from collections.abc import Container, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from lightning_modules.losses.formulas.dialect import VARIABLES
from lightning_modules.losses.formulas.operators import EVERY_OPERATOR
from lightning_modules.utilities.messages import shortened

#: Most operators on one path from the result to a leaf, so that a recursive parser can read every formula.
MAX_DEPTH = 64


class FormulaError(ValueError):
    """A formula that cannot be read, built or written."""


@dataclass(frozen=True, slots=True)
class Variable:
    """A leaf that is an argument of the loss.

    Attributes:
        name: One of the variables of a :class:`Dialect`, such as ``pred``.
    """

    name: str

    def __post_init__(self) -> None:
        """Refuse an unknown name.

        Raises:
            FormulaError: If there is no such variable.
        """
        if self.name not in VARIABLES:
            raise FormulaError(unknown_name(self.name, VARIABLES))


@dataclass(frozen=True, slots=True)
class Constant:
    """A leaf that is a number; a negative number is the ``negative`` of a constant.

    Attributes:
        value: A finite number that is not negative.
    """

    value: float

    def __post_init__(self) -> None:
        """Refuse values without a unique text, and turn ``-0.0`` into ``0.0``.

        Raises:
            FormulaError: If the value is negative or not finite.
        """
        if not (math.isfinite(self.value) and self.value >= 0):
            raise FormulaError(f"constant {self.value} is not finite and >= 0; write negative numbers as negative(...)")
        object.__setattr__(self, "value", abs(float(self.value)))


@dataclass(frozen=True, slots=True)
class Operation:
    """An operator applied to earlier nodes.

    Attributes:
        operator: Name of an operator of a :class:`Dialect`.
        operands: Positions of the operands in the formula's ``nodes``, as many as the operator's arity.
    """

    operator: str
    operands: tuple[int, ...]

    def __post_init__(self) -> None:
        """Refuse an unknown operator and a wrong number of operands.

        Raises:
            FormulaError: If there is no such operator, or its arity differs.
        """
        object.__setattr__(self, "operands", tuple(self.operands))
        if self.operator not in EVERY_OPERATOR:
            raise FormulaError(unknown_name(self.operator, EVERY_OPERATOR))
        check_arity(self.operator, len(self.operands))


Node: TypeAlias = Variable | Constant | Operation


def unknown_name(name: str, known: Iterable[str]) -> str:
    """Return the error message for an unknown name, with the closest known names."""
    known, name = list(known), shortened(name, 40)
    close = difflib.get_close_matches(name.lower(), known)
    hint = f"; did you mean {' or '.join(close)}?" if close else ""
    return f"unknown name '{name}': known are {', '.join(known)}{hint}"


def check_arity(operator: str, operands: int) -> None:
    """Refuse a wrong number of operands.

    Raises:
        FormulaError: If ``operands`` is not the arity of ``operator``.
    """
    arity = EVERY_OPERATOR[operator].arity
    if operands != arity:
        hint = f"; nest the calls, as in {operator}(1, {operator}(pred, label))" if operands > arity > 1 else ""
        raise FormulaError(f"'{operator}' takes {arity} operand{'s' * (arity > 1)}, got {operands}{hint}")


class NodeTable:
    """Unique nodes in the order in which they were added.

    Attributes:
        nodes: The nodes; operands are positions in this list.
        depths: For every node the number of operators on the longest path to a leaf.
    """

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.depths: list[int] = []
        self._positions: dict[Node, int] = {}

    def add(self, node: Node) -> int:
        """Return the position of ``node``, adding it if it is new.

        Raises:
            FormulaError: If an operand is not an earlier node, or the node would lie too deep.
        """
        position = self._positions.get(node)
        if position is None:
            position = self._positions[node] = len(self.nodes)
            self.depths.append(self._depth(node))
            self.nodes.append(node)
        return position

    def operation(self, operator: str, *operands: int) -> int:
        """Return the position of an operation on nodes of this table."""
        return self.add(Operation(operator, operands))

    def _depth(self, node: Node) -> int:
        if not isinstance(node, Operation):
            return 0
        if not all(0 <= operand < len(self.nodes) for operand in node.operands):
            raise FormulaError(f"operands {node.operands} of '{node.operator}' must be positions of earlier nodes")
        depth = 1 + max(self.depths[operand] for operand in node.operands)
        if depth > MAX_DEPTH:
            raise FormulaError(
                f"formula has more than {MAX_DEPTH} operators on one way to a leaf; split it or simplify it"
            )
        return depth


def reaching(nodes: Iterable[Node], variables: Container[str]) -> list[bool]:
    """Return which nodes have a gradient by one of the variables, whatever its value."""
    known: list[bool] = []
    for node in nodes:
        if isinstance(node, Operation):
            known.append(node.operator != "detach" and any(known[operand] for operand in node.operands))
        else:
            known.append(isinstance(node, Variable) and node.name in variables)
    return known


def canonical(nodes: Iterable[Node]) -> tuple[Node, ...]:
    """Return the program without unused nodes, each sub-expression once, in post-order.

    Raises:
        FormulaError: If there is no node, or a node is not valid where it stands.
    """
    table = NodeTable()
    places: list[int] = []
    for node in nodes:
        if isinstance(node, Operation) and not all(0 <= operand < len(places) for operand in node.operands):
            raise FormulaError(f"node {len(places)}: operands {node.operands} must be positions of earlier nodes")
        places.append(table.add(_moved(node, places)))
    if not places:
        raise FormulaError("a formula needs at least one node, got none")
    order = {old: new for new, old in enumerate(_post_order(table.nodes, places[-1]))}
    return tuple(_moved(table.nodes[old], order) for old in order)


def _moved(node: Node, places: list[int] | dict[int, int]) -> Node:
    if not isinstance(node, Operation):
        return node
    return Operation(node.operator, tuple(places[operand] for operand in node.operands))


def _post_order(nodes: list[Node], root: int) -> list[int]:
    order: dict[int, None] = {}
    path = [root]
    while path:
        node = nodes[path[-1]]
        operands = node.operands if isinstance(node, Operation) else ()
        missing = next((operand for operand in operands if operand not in order), None)
        if missing is None:
            order[path.pop()] = None
        else:
            path.append(missing)
    return list(order)
