"""Regularized evolution."""

from collections import deque
from typing import Any

import torch
from torch import Tensor

from lightning_modules.search.space import Programs, SearchSpace
from lightning_modules.search.strategies.base import Outcome, Strategy
from lightning_modules.search.strategies.mutation import mutate


class RegularizedEvolution(Strategy):
    """Mutates the best of a random sample of the youngest programs.

    Real et al., "Regularized Evolution for Image Classifier Architecture Search", AAAI 2019,
    https://arxiv.org/abs/1802.01548.

    Args:
        space: The search space.
        generator: The only source of randomness.
        population_size: Number of members; beyond it the oldest one is removed.
        tournament_size: Number of members, sampled with replacement, the best of which becomes a parent.
        most_changes: Largest number of decisions in which a mutant differs from its parent.
    """

    def __init__(
        self,
        space: SearchSpace,
        generator: torch.Generator,
        population_size: int = 50,
        tournament_size: int = 8,
        most_changes: int = 3,
    ) -> None:
        super().__init__(space, generator)
        self.population_size = population_size
        self.tournament_size = tournament_size
        self.most_changes = most_changes
        # Operators, operands, reward and number of the gradient signature of each.
        self._members: deque[tuple[Tensor, Tensor, float, int]] = deque(maxlen=population_size)

    def ask(self, count: int) -> Programs:
        """Mutate tournament winners; until the population is complete, sample uniformly."""
        if len(self._members) < self.population_size:
            return self.space.uniform(count, self.generator)
        rewards = torch.tensor([reward for _, _, reward, _ in self._members], dtype=torch.float64)
        entrants = torch.randint(len(rewards), (count, self.tournament_size), generator=self.generator)
        parents = entrants.gather(1, rewards[entrants].argmax(1, keepdim=True)).squeeze(1)
        population = Programs(*(torch.stack(column) for column in list(zip(*self._members, strict=True))[:2]))
        return mutate(population[parents], self.space, self.generator, self.most_changes)

    def tell(self, outcome: Outcome) -> dict[str, float]:
        """Add the trained programs to the population, in their order."""
        succeeded = outcome.succeeded
        told = outcome.programs[succeeded]
        values = outcome.reward[succeeded].tolist(), outcome.screened.signature[succeeded].tolist()
        self._members.extend(zip(told.operators, told.operands, *values, strict=True))
        return {"population": float(len(self._members))}

    def revise(self, signature: Tensor, reward: Tensor) -> None:
        """Replace the rewards of members."""
        found = dict(zip(signature.tolist(), reward.tolist(), strict=True))
        members = [(*program, found.get(number, told), number) for *program, told, number in self._members]
        self._members = deque(members, maxlen=self.population_size)

    def state_dict(self) -> dict[str, Any]:
        """Return the generator's state and the population."""
        return super().state_dict() | {"members": list(self._members)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state that :meth:`state_dict` returned."""
        super().load_state_dict(state)
        # Earlier versions kept no signature, which is the number of none here.
        members = [(*member, -1)[:4] for member in state["members"]]
        self._members = deque(members, maxlen=self.population_size)
