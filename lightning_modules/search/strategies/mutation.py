"""Changes a few decisions of given programs."""

import torch

from lightning_modules.search.programs import Programs
from lightning_modules.search.space import SearchSpace


def mutate(programs: Programs, space: SearchSpace, generator: torch.Generator, most_changes: int = 3) -> Programs:
    """Redraw one to ``most_changes`` decisions of every program, uniformly.

    A decision is the operator or the operands of a node that the loss depends on: changing any other would give the
    same loss again. A new operator keeps its operands where their number fits.
    """
    changes = torch.randint(1, most_changes + 1, (len(programs),), generator=generator)
    for change in range(most_changes):
        mutated = _mutate_once(programs, space, generator)
        kept = changes <= change
        programs = Programs(
            torch.where(kept[:, None], programs.operators, mutated.operators),
            torch.where(kept[:, None, None], programs.operands, mutated.operands),
        )
    return programs


def _mutate_once(programs: Programs, space: SearchSpace, generator: torch.Generator) -> Programs:
    used = programs.used(len(space.leaves)).double()
    chosen = torch.multinomial(used, 1, generator=generator).squeeze(1)
    rows = torch.arange(len(programs))
    coin = torch.rand(len(programs), generator=generator) < 0.5
    operator = torch.randint(len(space.operators), (len(programs),), generator=generator)
    operator = torch.where(coin, operator, programs.operators[rows, chosen])
    operands = programs.operands[rows, chosen]
    drawn = space.uniform_operands(operator, chosen, generator)
    fits = torch.where(space.binary[operator], operands[:, 0] != operands[:, 1], operands[:, 0] == operands[:, 1])
    operands = torch.where((coin & fits)[:, None], operands, drawn)
    operators, all_operands = programs.operators.clone(), programs.operands.clone()
    operators[rows, chosen] = operator
    all_operands[rows, chosen] = operands
    return Programs(operators, all_operands)
