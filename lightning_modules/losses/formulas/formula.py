"""A loss formula as an immutable, hashable value with a text form."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from lightning_modules.losses.formulas import latex, mathml, printing, simplification
from lightning_modules.losses.formulas.dialect import POINTWISE, Dialect, dialect_with
from lightning_modules.losses.formulas.interval_arithmetic import PRECISIONS, needed_clamps
from lightning_modules.losses.formulas.nodes import (
    Constant,
    FormulaError,
    Node,
    NodeTable,
    Operation,
    Variable,
    canonical,
    reaching,
)
from lightning_modules.losses.formulas.numerics import Numerics
from lightning_modules.losses.formulas.operators import EVERY_OPERATOR, NegativeScores
from lightning_modules.losses.formulas.parsing import parse


@dataclass(frozen=True, repr=False)
class Formula:
    """A straight-line program whose last node is the loss of one sample.

    Two formulas are equal if their canonical programs are: unused nodes are dropped, equal sub-expressions are one
    node, and nodes stand in post-order. Operands keep their order; :meth:`simplify` compares by real arithmetic.

    Attributes:
        nodes: The program; every operation follows its operands, and the result is last.

    Raises:
        FormulaError: If there is no node, an operand is not an earlier node, the formula is too deep, or no dialect has
            all of its variables and operators.

    Examples:
        >>> Formula.parse("(Label - Pred) ^ 2")
        Formula.parse('(label - pred)**2')
    """

    nodes: tuple[Node, ...]

    def __post_init__(self) -> None:
        """Reduce the program to its canonical form."""
        object.__setattr__(self, "nodes", canonical(self.nodes))
        if dialect_with(self.names) is None:
            variables = ", ".join(sorted(self.variables))
            raise FormulaError(f"{variables} and the operators in one formula are of no one kind of loss")

    @classmethod
    def parse(cls, text: str, dialect: Dialect | None = None) -> "Formula":
        """Read a formula, such as ``max(label / pred, pred / label)``.

        Args:
            text: The formula.
            dialect: Its dialect; None takes the one that has most of the text's names.

        Raises:
            FormulaError: If the text is not a formula; the message shows the place and the reason.
        """
        return cls(tuple(parse(text, dialect)))

    def __str__(self) -> str:
        return printing.to_text(self.nodes)

    def __repr__(self) -> str:
        return f"Formula.parse({str(self)!r})" if self.size <= 1000 else f"Formula(nodes={self.nodes!r})"

    def latex(self) -> str:
        """Return LaTeX for the formula, with the symbols of its dialect."""
        return latex.to_latex(self.nodes)

    def mathml(self) -> str:
        """Return one element of MathML for the formula, with the symbols of its dialect."""
        return mathml.to_mathml(self.nodes)

    @cached_property
    def variables(self) -> frozenset[str]:
        """Names of the variables in the formula."""
        return frozenset(node.name for node in self.nodes if isinstance(node, Variable))

    @property
    def names(self) -> frozenset[str]:
        """Names of the variables and operators in the formula."""
        return self.variables | {node.operator for node in self.nodes if isinstance(node, Operation)}

    @property
    def dialect(self) -> Dialect:
        """The first dialect that has these names; a formula without variables may also be of a later one."""
        return dialect_with(self.names) or POINTWISE

    @cached_property
    def has_gradient(self) -> bool:
        """Whether the formula depends on a predicted variable, and not through ``detach`` alone."""
        return reaching(self.nodes, self.dialect.predicted)[-1]

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

    @cached_property
    def num_applied(self) -> int:
        """Number of operators of the expression tree, in which shared nodes count at each use."""
        counts: list[int] = []
        for node in self.nodes:
            operands = node.operands if isinstance(node, Operation) else ()
            counts.append(bool(operands) + sum(counts[operand] for operand in operands))
        return counts[-1]

    def simplify(self) -> "Formula":
        """Return the canonical form under real arithmetic, for reading and comparing; see :mod:`.simplification`."""
        return Formula(simplification.simplify(self.nodes))

    def without_offset(self) -> "Formula":
        """Return the canonical form without terms that have no gradient."""
        return Formula(simplification.without_offset(self.nodes, self.dialect.predicted))

    @cached_property
    def shown(self) -> "Formula":
        """The shorter of the formula and :meth:`without_offset`, without terms that have no gradient, for display."""
        short = self.without_offset()
        scale, rest = self.factored()
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

    def factored(self) -> tuple[float | None, "Formula"]:
        """Return the constant factor of the whole, if it has one, and the rest."""
        root = self.nodes[-1]
        if isinstance(root, Operation) and root.operator == "multiply":
            for position, other in (root.operands, root.operands[::-1]):
                if isinstance(constant := self.nodes[position], Constant):
                    return constant.value, Formula(self.nodes[: other + 1])
        return None, self

    def evaluate(self, pred: Tensor, label: Tensor, numerics: Numerics) -> Tensor:
        """Return the value of a formula of one prediction for every element.

        Args:
            pred: Predicted probabilities.
            label: Labels, in the shape and type of ``pred``.
            numerics: Protection of the operators, and the clamp applied after each of them.

        Returns:
            A tensor in the shape and type of ``pred``.
        """
        return self.compute({"pred": pred, "label": label}, pred, numerics)

    def compute(
        self, leaves: Mapping[str, Tensor], like: Tensor, numerics: Numerics, negatives: NegativeScores | None = None
    ) -> Tensor:
        """Return the formula's value.

        Args:
            leaves: The values of its variables.
            like: A tensor whose shape and type constants have.
            numerics: Protection of the operators, and the clamp applied after each of them; those that change nothing
                are left out, as one takes longer than most operators.
            negatives: What aggregations take beside their operand.
        """
        values: list[Tensor] = []
        for node, is_clamped in zip(self.nodes, self._clamps(like.dtype, numerics), strict=True):
            if isinstance(node, Operation):
                value = _applied(node, values, numerics, negatives)
                values.append(numerics.clamp(value) if is_clamped else value)
            elif isinstance(node, Constant):
                values.append(torch.full_like(like, min(node.value, torch.finfo(like.dtype).max)))
            else:
                values.append(leaves[node.name])
        return values[-1]

    def _clamps(self, dtype: torch.dtype, numerics: Numerics) -> Sequence[bool]:
        """Return for every node whether it is clamped."""
        return needed_clamps(self.nodes, numerics) if dtype in PRECISIONS else [True] * len(self.nodes)


def _applied(node: Operation, values: Sequence[Tensor], numerics: Numerics, negatives: NegativeScores | None) -> Tensor:
    operands = (values[operand] for operand in node.operands)
    return EVERY_OPERATOR[node.operator](*operands, eps=numerics.eps, negatives=negatives)
