import pytest
import torch
from torch import Tensor

from lightning_modules.losses import Formula, Operation
from lightning_modules.search.space import Programs, SearchSpace
from lightning_modules.search.strategies.mutation import delete, hoist, mutate, resample
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
    mutants = resample(parents, space, seeded())
    renamed = parents.operators != mutants.operators
    fits = space.binary[parents.operators] == space.binary[mutants.operators]
    kept = (parents.operands == mutants.operands).all(-1)
    assert (renamed & fits).any(0).all()
    assert kept[renamed & fits].all()
    assert (renamed & ~fits).any(0).all()


def test_operators_and_operands_change_about_equally_often() -> None:
    space = SearchSpace(["add", "multiply", "max", "min"], nodes=10)
    parents = space.uniform(4000, seeded())
    mutants = resample(parents, space, seeded(1))
    operators = (parents.operators != mutants.operators).any(1).double().mean()
    # A fourth of the new operators are the old ones.
    assert operators.item() == pytest.approx(0.5 * 0.75, abs=0.03)


def parts(formula: Formula) -> set[Formula]:
    """Return the formulas of all operations in a formula, itself among them."""
    operations = (number for number, node in enumerate(formula.nodes, 1) if isinstance(node, Operation))
    return {Formula(formula.nodes[:number]) for number in operations}


@pytest.mark.parametrize("space", SPACES)
def test_a_hoisted_program_is_a_part_of_the_formula(space: SearchSpace) -> None:
    parents = space.uniform(500, seeded())
    hoisted, possible = hoist(parents, space, seeded(1))
    assert_valid(hoisted, space, 500)
    formulas = zip(space.decode(parents), space.decode(hoisted), possible.tolist(), strict=True)
    for before, after, was_possible in formulas:
        assert after in parts(before) or not was_possible
    several = torch.tensor([len(parts(each)) > 1 for each in space.decode(parents)])
    assert possible[several].all()
    assert possible.any() == (space.nodes > 1)


def test_every_part_is_hoisted() -> None:
    space = SearchSpace()
    program: list[WrittenNode] = [("log", 0), ("square", 1), ("max", 3, 4), ("negative", 5)]
    hoisted, possible = hoist(written(space, *[program] * 300), space, seeded())
    assert possible.all()
    found = {str(formula.simplify()) for formula in space.decode(hoisted)}
    assert found == {"log(pred)", "label**2", "max(log(pred), label**2)", "-max(log(pred), label**2)"}


@pytest.mark.parametrize("space", SPACES)
def test_deleting_gives_valid_programs_in_which_one_node_reads_an_operand_of_its_operand(space: SearchSpace) -> None:
    parents = space.uniform(2000, seeded())
    deleted, possible = delete(parents, space, seeded(1))
    assert_valid(deleted[possible], space, int(possible.sum()))
    changed = changed_nodes(parents, deleted) & possible[:, None]
    assert changed.sum(1).max() <= 1
    assert torch.equal(deleted.operators, parents.operators)
    assert possible.any() == (space.nodes > 1)
    leaves = len(space.leaves)
    for row, node in changed.nonzero().tolist():
        before, after = parents.operands[row, node].tolist(), deleted.operands[row, node].tolist()
        inner = [parents.operands[row, each - leaves].tolist() for each in before if each >= leaves]
        assert set(after) - set(before) <= {operand for each in inner for operand in each}


def test_every_use_of_a_node_is_deleted() -> None:
    space = SearchSpace(nodes=3)
    program: list[WrittenNode] = [("negative", 1), ("add", 0, 3), ("square", 4)]
    deleted, possible = delete(written(space, *[program] * 300), space, seeded())
    assert possible.all()
    found = {str(formula) for formula in space.decode(deleted)}
    assert found == {"(pred + label)**2", "pred**2", "(-label)**2"}


def test_shorter_formulas_are_found_more_often_than_by_sampling_anew() -> None:
    space = SearchSpace()
    parents = space.uniform(3000, seeded())
    parents = parents[parents.used(len(space.leaves)).sum(1) >= 6]
    before = parents.used(len(space.leaves)).sum(1)

    def shortened(mutants: Programs) -> float:
        return (mutants.used(len(space.leaves)).sum(1) < before).double().mean().item()

    anew, mixed = (shortened(mutate(parents, space, seeded(2), 1, shrink_share=share)) for share in (0.0, 0.3))
    assert mixed > anew + 0.1


def test_parents_stay_as_they_are_and_a_seed_determines_the_mutants() -> None:
    space = SearchSpace()
    parents = space.uniform(100, seeded())
    copy = Programs(parents.operators.clone(), parents.operands.clone())
    first, second = (mutate(parents, space, seeded(2)) for _ in range(2))
    assert equal(parents, copy)
    assert equal(first, second)
    assert not equal(first, mutate(parents, space, seeded(3)))
