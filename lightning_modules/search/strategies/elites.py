"""The best programs found so far: parents of mutants and examples to imitate."""

from typing import Any

import torch

from lightning_modules.search.programs import Programs
from lightning_modules.search.strategies.base import Outcome


class Elites:
    """Keeps the ``capacity`` trained programs with the highest rewards, best first."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.programs: Programs | None = None
        self.rewards = torch.empty(0, dtype=torch.float64)

    def __len__(self) -> int:
        return len(self.rewards)

    def update(self, outcome: Outcome) -> None:
        """Take in the programs that were trained."""
        succeeded = outcome.succeeded
        programs, rewards = outcome.programs[succeeded], outcome.reward[succeeded]
        if self.programs is not None:
            programs, rewards = Programs.concatenate([self.programs, programs]), torch.cat([self.rewards, rewards])
        best = rewards.argsort(descending=True, stable=True)[: self.capacity]
        self.programs, self.rewards = programs[best], rewards[best]

    def sample(self, count: int, generator: torch.Generator) -> Programs:
        """Draw ``count`` members uniformly, with replacement."""
        assert self.programs is not None
        return self.programs[torch.randint(len(self), (count,), generator=generator)]

    def state_dict(self) -> dict[str, Any]:
        """Return the members as tensors."""
        if self.programs is None:
            return {}
        return {"operators": self.programs.operators, "operands": self.programs.operands, "rewards": self.rewards}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state that :meth:`state_dict` returned."""
        if state:
            self.programs, self.rewards = Programs(state["operators"], state["operands"]), state["rewards"]
