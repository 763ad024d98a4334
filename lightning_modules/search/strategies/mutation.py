"""Mutation of programs: decisions are sampled anew, and parts of a formula go."""

import torch
from torch import Tensor

from lightning_modules.search.space import Programs, SearchSpace


def mutate(
    programs: Programs,
    space: SearchSpace,
    generator: torch.Generator,
    most_changes: int = 3,
    shrink_share: float = 0.3,
) -> Programs:
    """Change one to ``most_changes`` nodes of every program, on which the loss depends.

    Sampling anew seldom shortens a formula, so a share of the changes are those of symbolic regression that do:
    :func:`hoist` and :func:`delete`, one as often as the other.

    Args:
        programs: The parents.
        space: Their search space.
        generator: The only source of randomness.
        most_changes: Largest number of changes.
        shrink_share: Share of changes that shorten the formula; where none is possible a decision is sampled anew.
    """
    count = len(programs)
    changes = torch.randint(1, most_changes + 1, (count,), generator=generator)
    for change in range(most_changes):
        kind = torch.rand(count, generator=generator)
        mutants = resample(programs, space, generator)
        for share, shorten in ((shrink_share, hoist), (shrink_share / 2, delete)):
            shortened, possible = shorten(programs, space, generator)
            mutants = _chosen((kind < share) & possible, shortened, mutants)
        programs = _chosen(changes > change, mutants, programs)
    return programs


def resample(programs: Programs, space: SearchSpace, generator: torch.Generator) -> Programs:
    """Sample one decision of every program anew, uniformly: the operator or the operands of a node.

    It is a node that the loss depends on, since changing another one would give the same loss. A new operator keeps its
    operands where their number fits.
    """
    count = len(programs)
    used = programs.used(len(space.leaves)).double()
    chosen = torch.multinomial(used, 1, generator=generator).squeeze(1)
    rows = torch.arange(count)
    coin = torch.rand(count, generator=generator) < 0.5
    operator = torch.randint(len(space.operators), (count,), generator=generator)
    operator = torch.where(coin, operator, programs.operators[rows, chosen])
    operands = programs.operands[rows, chosen]
    drawn = space.uniform_operands(operator, chosen, generator)
    fits = torch.where(space.binary[operator], operands[:, 0] != operands[:, 1], operands[:, 0] == operands[:, 1])
    operands = torch.where((coin & fits)[:, None], operands, drawn)
    return _with_nodes(programs, chosen, operator, operands)


def hoist(programs: Programs, space: SearchSpace, generator: torch.Generator) -> tuple[Programs, Tensor]:
    """Let another node on which the loss depends become the loss: the last node repeats it.

    Returns:
        The programs, and for which of them that is possible, bool ``[count]``: there is such a node.
    """
    inner = programs.used(len(space.leaves))
    inner[:, -1] = False
    chosen, possible = _one_of(inner, generator)
    rows = torch.arange(len(programs))
    last = torch.full_like(chosen, space.nodes - 1)
    node = programs.operators[rows, chosen], programs.operands[rows, chosen]
    return _with_nodes(programs, last, *node), possible


def delete(programs: Programs, space: SearchSpace, generator: torch.Generator) -> tuple[Programs, Tensor]:
    """Replace one use of a node by one of the node's own operands.

    Returns:
        The programs, and for which of them that is possible, bool ``[count]``: a node is used, and what used it does
        not read the same operand twice now.
    """
    leaves, rows = len(space.leaves), torch.arange(len(programs))
    uses = programs.used(leaves)[:, :, None] & (programs.operands >= leaves)
    chosen, possible = _one_of(uses.flatten(1), generator)
    parent, side = chosen // 2, chosen % 2
    deleted = (programs.operands[rows, parent, side] - leaves).clamp_min(0)
    coin = torch.randint(2, (len(programs),), generator=generator)
    operator, operands = programs.operators[rows, parent], programs.operands[rows, parent]
    is_replaced = (torch.arange(2) == side[:, None]) | ~space.binary[operator][:, None]
    operands = torch.where(is_replaced, programs.operands[rows, deleted, coin][:, None], operands)
    differ = operands[:, 0] != operands[:, 1]
    return _with_nodes(programs, parent, operator, operands), possible & (differ == space.binary[operator])


def _one_of(marked: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return the position of a random mark in every row ``[count]``, and which rows have one."""
    has_mark = marked.any(1)
    weights = (marked | ~has_mark[:, None]).double()
    return torch.multinomial(weights, 1, generator=generator).squeeze(1), has_mark


def _with_nodes(programs: Programs, nodes: Tensor, operator: Tensor, operands: Tensor) -> Programs:
    """Return programs in which one node each has another operator and other operands."""
    rows = torch.arange(len(programs))
    operators, all_operands = programs.operators.clone(), programs.operands.clone()
    operators[rows, nodes] = operator
    all_operands[rows, nodes] = operands
    return Programs(operators, all_operands)


def _chosen(mask: Tensor, programs: Programs, others: Programs) -> Programs:
    return Programs(
        torch.where(mask[:, None], programs.operators, others.operators),
        torch.where(mask[:, None, None], programs.operands, others.operands),
    )
