import pytest
from torch import Tensor

from lightning_modules.search.space import Programs, SearchSpace
from lightning_modules.search.strategies.evolution import mutate
from tests.search.search_helpers import WrittenNode, assert_valid, equal, full_space, seeded, written

SPACES = [SearchSpace(), full_space(nodes=4), SearchSpace(["add"], ["pred", "label"], 1)]


def changed_nodes(before: Programs, after: Programs) -> Tensor:
    """Mark the nodes that differ, bool ``[count, nodes]``; the order of two operands has no meaning."""
    operands = before.operands.sort(-1).values != after.operands.sort(-1).values
    return (before.operators != after.operators) | operands.any(-1)


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("most_changes", [1, 3])
def test_mutants_are_valid_and_differ_in_few_nodes(space: SearchSpace, most_changes: int) -> None:
    parents = space.uniform(2000, seeded())
    mutants = mutate(parents, space, seeded(1), most_changes)
    assert_valid(mutants, space, 2000)
    assert changed_nodes(parents, mutants).sum(1).max() <= most_changes


@pytest.mark.parametrize("most_changes", [1, 2, 3])
def test_every_number_of_changes_up_to_the_largest_occurs(most_changes: int) -> None:
    space = SearchSpace()
    parents = written(space, *[[("negative", node + 2) for node in range(10)]] * 3000)
    count = changed_nodes(parents, mutate(parents, space, seeded(), most_changes)).sum(1)
    assert set(count.tolist()) >= set(range(1, most_changes + 1))
    assert (count > 0).double().mean() > 0.8
    # Every number is as likely, so that a mutant of one change stays common.
    assert (count <= 1).double().mean() > 1 / most_changes - 0.03


def test_only_nodes_that_the_loss_depends_on_change() -> None:
    space = SearchSpace()
    parents = space.uniform(5000, seeded())
    used = parents.used(len(space.leaves))
    changed = changed_nodes(parents, mutate(parents, space, seeded(1), most_changes=1))
    assert not (changed & ~used).any()
    assert (changed & used).sum() > 3000


def test_every_used_node_may_change() -> None:
    space = SearchSpace(nodes=3)
    parent: list[WrittenNode] = [("log", 0), ("square", 1), ("max", 3, 4)]
    parents = written(space, *[parent] * 500)
    assert changed_nodes(parents, mutate(parents, space, seeded(), most_changes=1)).any(0).all()


def test_a_new_operator_keeps_operands_that_fit() -> None:
    space = SearchSpace(nodes=2)
    parent: list[WrittenNode] = [("log", 1), ("max", 0, 3)]
    parents = written(space, *[parent] * 3000)
    mutants = mutate(parents, space, seeded(), most_changes=1)
    renamed = parents.operators != mutants.operators
    fits = space.binary[parents.operators] == space.binary[mutants.operators]
    kept = (parents.operands == mutants.operands).all(-1)
    assert (renamed & fits).any(0).all()
    assert kept[renamed & fits].all()
    assert (renamed & ~fits).any(0).all()


def test_operators_and_operands_change_about_equally_often() -> None:
    space = SearchSpace(["add", "multiply", "max", "min"], nodes=10)
    parents = space.uniform(4000, seeded())
    mutants = mutate(parents, space, seeded(1), most_changes=1)
    operators = (parents.operators != mutants.operators).any(1).double().mean()
    # A fourth of the new operators are the old ones.
    assert operators.item() == pytest.approx(0.5 * 0.75, abs=0.03)


def test_parents_stay_as_they_are_and_a_seed_determines_the_mutants() -> None:
    space = SearchSpace()
    parents = space.uniform(100, seeded())
    copy = Programs(parents.operators.clone(), parents.operands.clone())
    first, second = (mutate(parents, space, seeded(2)) for _ in range(2))
    assert equal(parents, copy)
    assert equal(first, second)
    assert not equal(first, mutate(parents, space, seeded(3)))
