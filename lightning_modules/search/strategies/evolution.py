"""Regularized evolution."""

import math
from collections import deque
from typing import Any

import torch
from torch import Tensor

from lightning_modules.search.space import Programs, SearchSpace
from lightning_modules.search.strategies.base import Outcome, Strategy
from lightning_modules.search.strategies.mutation import mutate
from lightning_modules.search.strategies.remembered_rewards import lower_bound


class RegularizedEvolution(Strategy):
    """Mutates the best of a random sample of the youngest programs, by the lower confidence bounds of their rewards.

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
        # Operators, operands, reward, number of the gradient signature and the reward's standard error of each.
        self._members: deque[tuple[Tensor, Tensor, float, int, float]] = deque(maxlen=population_size)

    def ask(self, count: int) -> Programs:
        """Mutate tournament winners; until the population is complete, sample uniformly."""
        if len(self._members) < self.population_size:
            return self.space.uniform(count, self.generator)
        values = torch.tensor([(reward, error) for _, _, reward, _, error in self._members], dtype=torch.float64)
        rewards = lower_bound(*values.unbind(1))
        entrants = torch.randint(len(rewards), (count, self.tournament_size), generator=self.generator)
        parents = entrants.gather(1, rewards[entrants].argmax(1, keepdim=True)).squeeze(1)
        population = Programs(*(torch.stack(column) for column in list(zip(*self._members, strict=True))[:2]))
        return mutate(population[parents], self.space, self.generator, self.most_changes)

    def tell(self, outcome: Outcome) -> dict[str, float]:
        """Add the trained programs to the population, in their order."""
        succeeded = outcome.succeeded
        told = outcome.programs[succeeded]
        values = [each[succeeded].tolist() for each in (outcome.reward, outcome.screened.signature, outcome.error)]
        self._members.extend(zip(told.operators, told.operands, *values, strict=True))
        return {"population": float(len(self._members))}

    def revise(self, signature: Tensor, reward: Tensor, standard_error: Tensor | None = None) -> None:
        """Replace the rewards of members."""
        errors = torch.full_like(reward, torch.nan) if standard_error is None else standard_error
        found = {
            number: each for number, *each in zip(*(each.tolist() for each in (signature, reward, errors)), strict=True)
        }
        members = []
        for operators, operands, reward_told, number, error_told in self._members:
            reward_now, error_now = found.get(number, (reward_told, error_told))
            members.append((operators, operands, reward_now, number, error_now))
        self._members = deque(members, maxlen=self.population_size)

    def state_dict(self) -> dict[str, Any]:
        """Return the generator's state and the population."""
        return super().state_dict() | {"members": list(self._members)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state that :meth:`state_dict` returned."""
        super().load_state_dict(state)
        # Earlier versions kept no signature, which is the number of none here, or no standard error.
        members = [(*member, *(-1, math.nan)[len(member) - 3 :]) for member in state["members"]]
        self._members = deque(members, maxlen=self.population_size)
