"""Programs: a batch of formulas as tensors, which strategies sample and mutate; and their search space."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_modules.losses.formulas.dialect import DIALECTS, Dialect, dialect_with
from lightning_modules.losses.formulas.formula import Formula
from lightning_modules.losses.formulas.nodes import Constant, Node, Operation, Variable
from lightning_modules.losses.formulas.operators import EVERY_OPERATOR, OPERATORS, Operator


@dataclass(frozen=True)
class Programs:
    """Straight-line programs of equal length over one search space.

    Positions number the leaves first and then the operator nodes; node ``k`` reads positions below ``leaves + k``. The
    last node is the loss.

    Attributes:
        operators: Number of each node's operator in the space's list, int64 ``[count, nodes]``.
        operands: Positions that each node reads, int64 ``[count, nodes, 2]``; a unary node repeats its operand.
    """

    operators: Tensor
    operands: Tensor

    def __len__(self) -> int:
        return len(self.operators)

    def __getitem__(self, index: Tensor | slice) -> "Programs":
        return Programs(self.operators[index], self.operands[index])

    @staticmethod
    def concatenate(parts: Sequence["Programs"]) -> "Programs":
        """Join batches one after the other."""
        return Programs(torch.cat([part.operators for part in parts]), torch.cat([part.operands for part in parts]))

    def used(self, leaves: int) -> Tensor:
        """Mark the nodes that the last one depends on, bool ``[count, nodes]``."""
        return self._read(leaves)[:, leaves:]

    def reads(self, leaves: int) -> Tensor:
        """Mark the leaves that the last node depends on, bool ``[count, leaves]``."""
        return self._read(leaves)[:, :leaves]

    def sizes(self, leaves: int) -> Tensor:
        """Return the number of operators of each expression, int64 ``[count]``; shared nodes count at each use."""
        count, nodes = self.operators.shape
        sizes = torch.zeros(count, leaves + nodes, dtype=torch.int64)
        is_binary = self.operands[..., 0] != self.operands[..., 1]
        for node in range(nodes):
            first, second = sizes.gather(1, self.operands[:, node]).unbind(1)
            sizes[:, leaves + node] = 1 + first + is_binary[:, node] * second
        return sizes[:, -1]

    def _read(self, leaves: int) -> Tensor:
        count, nodes = self.operators.shape
        read = torch.zeros(count, leaves + nodes, dtype=torch.bool)
        read[:, -1] = True
        for node in reversed(range(nodes)):
            needed = read[:, leaves + node, None].expand(-1, 2)
            read.scatter_reduce_(1, self.operands[:, node], needed, "amax")
        return read


_PUBLISHED_OPERATORS = tuple(operator.name for operator in OPERATORS[:9])

_RANKING_OPERATORS = (
    *("add", "multiply", "negative", "log", "exp", "square", "reciprocal", "sigmoid", "tanh", "relu", "softplus"),
    *("mean", "sum", "logmeanexp", "hard", "detach"),
)

# The text of a formula repeats shared nodes, and grows by up to the golden ratio with every node.
_MOST_NODES = 18


class SearchSpace:
    """All straight-line programs with a given number of nodes over given operators and leaves.

    The default is the space of AutoLossGen (Li et al., SIGIR 2022, https://arxiv.org/abs/2204.13160): ten nodes, nine
    operators, the leaves ``pred``, ``label`` and 1. The two operands of a binary operator are different nodes.

    Args:
        operators: Names of the operators that nodes may apply.
        leaves: Names of variables and values of constants, in the order of their positions.
        nodes: Number of operator nodes, at most 18; the last one is the loss.

    Attributes:
        dialect: The dialect of the formulas, the first that has the operators and leaves.

    Raises:
        ValueError: If an operator is unknown, there are too few leaves or nodes, or no dialect has them all.
    """

    def __init__(
        self,
        operators: Sequence[str] = _PUBLISHED_OPERATORS,
        leaves: Sequence[str | float] = ("pred", "label", 1.0),
        nodes: int = 10,
    ) -> None:
        self.dialect = _dialect(operators, leaves)
        if nodes > _MOST_NODES:
            raise ValueError(f"search space: {nodes} nodes; more than {_MOST_NODES} cannot always be written as text")
        if nodes < 1 or len(leaves) < 2 or not operators:
            raise ValueError(_too_few(self.dialect))
        self.operators: tuple[Operator, ...] = tuple(EVERY_OPERATOR[name] for name in operators)
        self.leaves: tuple[Variable | Constant, ...] = tuple(
            Variable(leaf) if isinstance(leaf, str) else Constant(float(leaf)) for leaf in leaves
        )
        self.nodes = nodes
        self.binary: Tensor = torch.tensor([operator.arity == 2 for operator in self.operators])
        self.commutative: Tensor = torch.tensor([operator.commutative for operator in self.operators])

    def uniform(self, count: int, generator: torch.Generator) -> Programs:
        """Sample operators uniformly, and operands uniformly without replacement."""
        operators = torch.randint(len(self.operators), (count, self.nodes), generator=generator)
        return Programs(operators, self.uniform_operands(operators, torch.arange(self.nodes), generator))

    def uniform_operands(self, operators: Tensor, nodes: Tensor, generator: torch.Generator) -> Tensor:
        """Sample the two operands ``[..., 2]`` of nodes with the given operators ``[...]`` and numbers."""
        earlier = (len(self.leaves) + nodes).expand(operators.shape)
        first, other = torch.rand(2, *operators.shape, generator=generator, dtype=torch.float64)
        first, other = (first * earlier).long(), (other * (earlier - 1)).long()
        second = torch.where(self.binary[operators], other + (other >= first), first)
        return torch.stack([first, second], dim=-1)

    def encode(self, formula: Formula) -> Programs:
        """Return a formula as a program, whose other nodes come first and are not read.

        Raises:
            ValueError: If it is no formula of this space.
        """
        numbers = {operator.name: number for number, operator in enumerate(self.operators)}
        operations = [node for node in formula.nodes if isinstance(node, Operation)]
        idle = self.nodes - len(operations)
        if not 0 <= idle < self.nodes:
            raise ValueError(f"'{formula}' has {len(operations)} operators, and a program 1 to {self.nodes}")
        operators, operands = [0] * idle, [[0, int(self.binary[0])] for _ in range(idle)]
        places: list[int] = []
        for node in formula.nodes:
            if not isinstance(node, Operation):
                places.append(self._leaf_place(node, formula))
                continue
            read = [places[operand] for operand in node.operands]
            if node.operator not in numbers or len({*read}) < len(read):
                reason = "twice on one operand" if node.operator in numbers else "not in the search space"
                raise ValueError(f"'{formula}' has the operator '{node.operator}', which is {reason}")
            places.append(len(self.leaves) + len(operators))
            operators.append(numbers[node.operator])
            operands.append([read[0], read[-1]])
        return Programs(torch.tensor([operators]), torch.tensor([operands]))

    def _leaf_place(self, leaf: Variable | Constant, formula: Formula) -> int:
        if leaf not in self.leaves:
            named = leaf.name if isinstance(leaf, Variable) else f"{leaf.value:g}"
            raise ValueError(f"'{formula}' has the leaf {named}, which is not in the search space")
        return self.leaves.index(leaf)

    def decode(self, programs: Programs) -> list[Formula]:
        """Return programs as formulas, each reduced to the nodes that its result depends on."""
        return [
            self._formula(operators, operands)
            for operators, operands in zip(programs.operators.tolist(), programs.operands.tolist(), strict=True)
        ]

    def _formula(self, operators: list[int], operands: list[list[int]]) -> Formula:
        nodes: list[Node] = list(self.leaves)
        for number, positions in zip(operators, operands, strict=True):
            operator = self.operators[number]
            nodes.append(Operation(operator.name, tuple(positions[: operator.arity])))
        return Formula(tuple(nodes))


class RankingSpace(SearchSpace):
    """The space of losses of scores, for models that rank a catalogue: :class:`SearchSpace` with other defaults.

    Args:
        operators: Names of the operators that nodes may apply.
        leaves: Names of variables and values of constants, in the order of their positions.
        nodes: Number of operator nodes, at most 18; the last one is the loss.

    Raises:
        ValueError: If an operator is unknown, there are too few leaves or nodes, or no dialect has them all.
    """

    def __init__(
        self,
        operators: Sequence[str] = _RANKING_OPERATORS,
        leaves: Sequence[str | float] = ("pos", "pos_t", "neg_t", "gap", "gap_t", 1.0),
        nodes: int = 6,
    ) -> None:
        super().__init__(operators, leaves, nodes)


def _dialect(operators: Sequence[str], leaves: Sequence[str | float]) -> Dialect:
    """Return the dialect that has all operators and variables.

    Raises:
        ValueError: If there is none, or it needs a variable that depends on the model.
    """
    if unknown := [name for name in operators if name not in EVERY_OPERATOR]:
        known = ", ".join(EVERY_OPERATOR)
        raise ValueError(f"search space: operator '{unknown[0]}' is unknown; choose among {known}")
    variables = [Variable(leaf).name for leaf in leaves if isinstance(leaf, str)]
    dialect = dialect_with([*variables, *operators]) or dialect_with(variables)
    if dialect is None:
        known = " or ".join(", ".join(each.variables) for each in DIALECTS)
        raise ValueError(f"search space: leaves {', '.join(variables)}; the variables of one loss are {known}")
    if foreign := [name for name in operators if not dialect.has([name])]:
        raise ValueError(f"search space: operator '{foreign[0]}' is not for losses of {', '.join(dialect.variables)}")
    if not set(variables).intersection(dialect.predicted):
        raise ValueError(_too_few(dialect))
    return dialect


def _too_few(dialect: Dialect) -> str:
    predicted = " or ".join(f"'{name}'" for name in dialect.predicted)
    return f"search space: needs at least one operator, one node and two leaves, {predicted} among them"
