"""All programs with a number of operators, against writing them down one after the other."""

from collections.abc import Iterator
from itertools import combinations

import pytest
import torch

from lightning_modules.search.enumeration import Enumeration
from lightning_modules.search.space import Programs, RankingSpace, SearchSpace
from tests.search.search_helpers import assert_valid, equal

SMALL = SearchSpace(("add", "negative", "square"), ("pred", "label"), nodes=4)
SPACES = {"small": SMALL, "no unary": SearchSpace(("add",), nodes=3), "scores": RankingSpace(("exp", "multiply"))}

Written = tuple[tuple[int, int, int], ...]


def written_down(space: SearchSpace, operators: int, written: Written = ()) -> Iterator[Written]:
    """Yield the operator and operands of every node of the programs that read all nodes."""
    idle, leaves = space.nodes - operators, len(space.leaves)
    if len(written) == operators:
        read = {place for _, *places in written for place in places} | {leaves + space.nodes - 1}
        if all(leaves + node in read for node in range(idle, space.nodes)):
            yield written
        return
    earlier = [*range(leaves), *range(leaves + idle, leaves + idle + len(written))]
    for number, operator in enumerate(space.operators):
        pairs = combinations(earlier, 2) if operator.arity == 2 else ((each, each) for each in earlier)
        for first, second in pairs:
            yield from written_down(space, operators, (*written, (number, first, second)))


def as_written(programs: Programs, operators: int) -> list[Written]:
    nodes = torch.cat([programs.operators[..., None], programs.operands], dim=-1)[:, -operators:]
    return [tuple((op, first, second) for op, first, second in program) for program in nodes.tolist()]


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("operators", [1, 2, 3])
def test_every_program_is_there_once(name: str, operators: int) -> None:
    space = SPACES[name]
    every = Enumeration(space, operators)
    programs = every.programs(every.distinct())
    assert_valid(programs, space, len(programs))
    found, expected = as_written(programs, operators), list(written_down(space, operators))
    assert len(found) == len({*found}) == len(expected)
    assert {*found} == {*expected}


@pytest.mark.parametrize("operators", [1, 2, 3, 4])
def test_a_program_has_its_number(operators: int) -> None:
    every = Enumeration(SMALL, operators)
    numbers = torch.arange(len(every))
    programs = every.programs(numbers)
    assert_valid(programs, SMALL, len(every))
    assert torch.equal(every.numbers(programs), numbers)


def test_a_formula_that_is_encoded_is_the_one_with_its_number() -> None:
    space = RankingSpace()
    every = Enumeration(space, 2)
    for formula in space.decode(every.programs(every.distinct()[::19])):
        encoded = space.encode(formula)
        assert equal(every.programs(every.numbers(encoded)), encoded)
