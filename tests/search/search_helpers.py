"""Search spaces, hand-written programs and told outcomes that the tests of the search share."""

from collections.abc import Sequence

import torch
from torch import Tensor

from lightning_modules.losses import OPERATOR_BY_NAME
from lightning_modules.search.screening import Screened, ScreeningResult
from lightning_modules.search.space import Programs, SearchSpace
from lightning_modules.search.strategies import Outcome

#: One node: the operator's name and the positions that it reads.
WrittenNode = tuple[str, int] | tuple[str, int, int]

SQUARED_ERROR: list[WrittenNode] = [("negative", 1), ("add", 0, 3), ("square", 4)]
REVERSED_ERROR: list[WrittenNode] = [*SQUARED_ERROR, ("negative", 5)]
WITHOUT_PREDICTION: list[WrittenNode] = [("square", 1)]
PREDICTION: list[WrittenNode] = [("identity", 0)]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def full_space(nodes: int = 10) -> SearchSpace:
    """Return the space over all operators there are."""
    return SearchSpace(tuple(OPERATOR_BY_NAME), nodes=nodes)


def written(space: SearchSpace, *programs: Sequence[WrittenNode]) -> Programs:
    """Write programs by hand; identities fill up what is missing to the space's length."""
    numbers = {operator.name: number for number, operator in enumerate(space.operators)}
    operators, operands = [], []
    for program in programs:
        missing = range(len(program), space.nodes)
        nodes = [*program, *(("identity", len(space.leaves) + node - 1) for node in missing)]
        operators.append([numbers[node[0]] for node in nodes])
        operands.append([[node[1], node[-1]] for node in nodes])
    return Programs(torch.tensor(operators), torch.tensor(operands))


def assert_valid(programs: Programs, space: SearchSpace, count: int) -> None:
    """Check the shapes, that nodes read earlier ones, and that binary nodes read two and unary ones a single one."""
    assert programs.operators.shape == (count, space.nodes)
    assert programs.operands.shape == (count, space.nodes, 2)
    assert programs.operators.dtype == programs.operands.dtype == torch.int64
    assert (programs.operators >= 0).all()
    assert (programs.operators < len(space.operators)).all()
    earlier = len(space.leaves) + torch.arange(space.nodes)
    assert (programs.operands >= 0).all()
    assert (programs.operands < earlier[None, :, None]).all()
    differ = programs.operands[..., 0] != programs.operands[..., 1]
    assert torch.equal(differ, space.binary[programs.operators])


def equal(left: Programs, right: Programs) -> bool:
    return torch.equal(left.operators, right.operators) and torch.equal(left.operands, right.operands)


def told(
    programs: Programs,
    reward: Tensor,
    result: ScreeningResult = ScreeningResult.TRAINABLE,
    broken: Tensor | None = None,
    errors: Tensor | None = None,
) -> Outcome:
    """Return an outcome in which every program is new, and has the given result and reward, with its standard error."""
    count = len(programs)
    ones = torch.ones(count, dtype=torch.float64)
    screened = Screened(
        result=torch.full((count,), int(result)),
        right_share=ones,
        joint_share=ones,
        signature=torch.arange(count),
        occurrences=torch.ones(count, dtype=torch.int64),
        gradient=torch.zeros(count, 4, dtype=torch.float64),
    )
    return Outcome(programs, screened, reward.double(), broken, None if errors is None else errors.double())


def share_of_operator(programs: Programs, space: SearchSpace, name: str) -> Tensor:
    """Return the share of a program's used nodes that apply one operator, float64 ``[count]``."""
    number = [operator.name for operator in space.operators].index(name)
    used = programs.used(len(space.leaves))
    return ((programs.operators == number) & used).sum(1) / used.sum(1).double()
