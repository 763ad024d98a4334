"""A loss formula as an immutable, hashable value with a text form."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from lightning_modules.losses.formulas import printing, simplification
from lightning_modules.losses.formulas.nodes import Constant, Node, NodeTable, Operation, Variable, canonical
from lightning_modules.losses.formulas.numerics import Numerics
from lightning_modules.losses.formulas.operators import OPERATOR_BY_NAME
from lightning_modules.losses.formulas.parsing import parse


@dataclass(frozen=True, repr=False)
class Formula:
    """A straight-line program whose last node is the loss of one sample.

    Two formulas are equal if their canonical programs are: unused nodes are dropped, equal sub-expressions are one
    node, and nodes stand in post-order. Operands keep their order; :meth:`simplify` compares by real arithmetic.

    Attributes:
        nodes: The program; every operation follows its operands, and the result is last.

    Raises:
        FormulaError: If there is no node, an operand is not an earlier node, or the formula is too deep.

    Example:
        >>> Formula.parse("(Label - Pred) ^ 2")
        Formula.parse('(label - pred)**2')
    """

    nodes: tuple[Node, ...]

    def __post_init__(self) -> None:
        """Reduce the program to its canonical form."""
        object.__setattr__(self, "nodes", canonical(self.nodes))

    @classmethod
    def parse(cls, text: str) -> "Formula":
        """Read a formula, such as ``max(label / pred, pred / label)``.

        Raises:
            FormulaError: If the text is not a formula; the message shows the place and the reason.
        """
        return cls(tuple(parse(text)))

    def __str__(self) -> str:
        return printing.to_text(self.nodes)

    def __repr__(self) -> str:
        return f"Formula.parse({str(self)!r})" if self.size <= 1000 else f"Formula(nodes={self.nodes!r})"

    def latex(self) -> str:
        r"""Return LaTeX for the formula, with ``\hat{y}`` for ``pred`` and ``y`` for ``label``."""
        return printing.to_latex(self.nodes)

    @cached_property
    def variables(self) -> frozenset[str]:
        """Names of the variables in the formula."""
        return frozenset(node.name for node in self.nodes if isinstance(node, Variable))

    @cached_property
    def depth(self) -> int:
        """Number of operators on the longest path from the result to a leaf."""
        table = NodeTable()
        return [table.depths[table.add(node)] for node in self.nodes][-1]

    @cached_property
    def size(self) -> int:
        """Number of nodes of the expression tree, in which shared nodes count at each use."""
        sizes: list[int] = []
        for node in self.nodes:
            operands = node.operands if isinstance(node, Operation) else ()
            sizes.append(1 + sum(sizes[operand] for operand in operands))
        return sizes[-1]

    def simplify(self) -> "Formula":
        """Return the canonical form under real arithmetic, for reading and comparing; see :mod:`.simplification`."""
        return Formula(simplification.simplify(self.nodes))

    def without_offset(self) -> "Formula":
        """Return the canonical form without terms that do not depend on ``pred``, which have no gradient."""
        return Formula(simplification.without_offset(self.nodes))

    @cached_property
    def shown(self) -> "Formula":
        """The shorter of the formula and :meth:`without_offset`, without terms that have no gradient, for display."""
        short = self.without_offset()
        scale, rest = self._factor()
        forms = [self] if scale is None and short == self.simplify() else []
        forms += [] if scale is None else [rest.shown.times(scale)]
        return min([*forms, short], key=lambda form: len(str(form)))

    def shortest(self) -> str:
        """Return the text of :attr:`shown`."""
        return str(self.shown)

    @cached_property
    def num_operators(self) -> int:
        """Number of operators in :meth:`shortest`, without a constant factor of the whole, which only sets the scale.

        A difference or a quotient is one operator, and what is written twice counts twice.
        """
        return printing.num_written(self.shown.nodes) - printing.has_factor(self.shown.nodes)

    def times(self, number: float) -> "Formula":
        """Return the product of a number, finite and not negative, and the formula, which is the product with 1."""
        if number == 1:
            return self
        nodes = [*self.nodes, Constant(number)]
        return Formula((*nodes, Operation("multiply", (len(nodes) - 1, len(nodes) - 2))))

    def _factor(self) -> tuple[float | None, "Formula"]:
        """Return the constant factor of the whole, if it has one, and the rest."""
        root = self.nodes[-1]
        if isinstance(root, Operation) and root.operator == "multiply":
            for position, other in (root.operands, root.operands[::-1]):
                if isinstance(constant := self.nodes[position], Constant):
                    return constant.value, Formula(self.nodes[: other + 1])
        return None, self

    def evaluate(self, pred: Tensor, label: Tensor, numerics: Numerics) -> Tensor:
        """Return the formula's value for every element.

        Args:
            pred: Predicted probabilities.
            label: Labels, in the shape and type of ``pred``.
            numerics: Protection of the operators, and the clamp applied after each of them.

        Returns:
            A tensor in the shape and type of ``pred``.
        """
        values: list[Tensor] = []
        for node in self.nodes:
            if isinstance(node, Operation):
                values.append(_applied(node, values, numerics))
            elif isinstance(node, Constant):
                values.append(torch.full_like(pred, min(node.value, torch.finfo(pred.dtype).max)))
            else:
                values.append(pred if node.name == "pred" else label)
        return values[-1]


def _applied(node: Operation, values: Sequence[Tensor], numerics: Numerics) -> Tensor:
    operands = (values[operand] for operand in node.operands)
    return numerics.clamp(OPERATOR_BY_NAME[node.operator](*operands, eps=numerics.eps))
