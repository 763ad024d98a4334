import torch

from lightning_modules.losses import Formula, Operation
from lightning_modules.search.space import Programs, SearchSpace
from tests.search.search_helpers import equal, full_space, seeded, written


def naively_used(formula: Formula) -> set[int]:
    """Return the positions of the operations that a recursion over the formula's tree meets."""

    def below(position: int) -> set[int]:
        node = formula.nodes[position]
        return {position}.union(*map(below, node.operands)) if isinstance(node, Operation) else set()

    return below(len(formula.nodes) - 1)


def naive_mask(program: Programs, space: SearchSpace) -> list[bool]:
    leaves = len(space.leaves)
    marked = [False] * space.nodes

    def visit(position: int) -> None:
        if position < leaves:
            return
        marked[position - leaves] = True
        arity = space.operators[int(program.operators[position - leaves])].arity
        for operand in program.operands[position - leaves, :arity].tolist():
            visit(operand)

    visit(leaves + space.nodes - 1)
    return marked


def test_sizes_count_the_operators_of_the_expressions_at_each_use() -> None:
    def operators(formula: Formula, position: int) -> int:
        node = formula.nodes[position]
        return 1 + sum(operators(formula, each) for each in node.operands) if isinstance(node, Operation) else 0

    space = SearchSpace(["add", "multiply", "negative"], nodes=8)
    programs = space.uniform(300, seeded())
    expected = [operators(formula, len(formula.nodes) - 1) for formula in space.decode(programs)]
    assert programs.sizes(len(space.leaves)).tolist() == expected
    assert max(expected) > space.nodes


def test_used_is_what_a_recursion_from_the_last_node_reaches() -> None:
    space = full_space(nodes=8)
    programs = space.uniform(200, seeded())
    used = programs.used(len(space.leaves))
    assert used.tolist() == [naive_mask(programs[torch.tensor(row)], space) for row in range(200)]
    assert 0.2 < used.double().mean() < 0.8


def test_dead_nodes_change_neither_the_formula_nor_what_is_used() -> None:
    space = SearchSpace(nodes=4)
    first = written(space, [("log", 0), ("square", 1), ("reciprocal", 2), ("add", 3, 1)])
    second = written(space, [("log", 0), ("negative", 0), ("max", 4, 1), ("add", 3, 1)])
    assert space.decode(first) == space.decode(second) == [Formula.parse("log(pred) + label")]
    assert first.used(3).tolist() == second.used(3).tolist() == [[True, False, False, True]]


def test_decoded_formulas_hold_only_used_nodes() -> None:
    space = full_space()
    programs = space.uniform(100, seeded(1))
    for formula, used in zip(space.decode(programs), programs.used(3).sum(1).tolist(), strict=True):
        operations = [position for position, node in enumerate(formula.nodes) if isinstance(node, Operation)]
        assert naively_used(formula) == set(operations)
        # Equal parts become one node of the formula.
        assert 1 <= len(operations) <= used


def test_slices_and_concatenation_keep_the_order() -> None:
    space = full_space(nodes=3)
    programs = space.uniform(10, seeded())
    parts = [programs[:4], programs[torch.tensor([4, 5, 6])], programs[7:]]
    assert [len(part) for part in parts] == [4, 3, 3]
    assert equal(Programs.concatenate(parts), programs)


def test_leaves_that_are_read_are_those_of_the_decoded_formula() -> None:
    space = SearchSpace(nodes=5)
    programs = space.uniform(200, seeded())
    reads = programs.reads(len(space.leaves))
    for formula, leaves in zip(space.decode(programs), reads.tolist(), strict=True):
        assert formula.variables == {name for name, read in zip(("pred", "label"), leaves, strict=False) if read}
    assert 0 < reads.double().mean() < 1
