"""Programs that a policy imitates: an archive of valid losses, and the elites with the highest rewards."""

from typing import Any

import torch
from torch import Tensor

from lightning_modules.search.screening import Screened, first_of_each
from lightning_modules.search.space import Programs
from lightning_modules.search.strategies.base import Outcome
from lightning_modules.search.strategies.remembered_rewards import RememberedRewards


class Archive:
    """Collects programs that are right for both labels, one per gradient signature.

    Programs without the label are right for one label at a time and are not collected, and neither are too steep or too
    long ones, so that imitating the archive teaches the policy to sample valid and different losses. A fixed
    share of every sample was sampled uniformly: trained on its own samples alone, a policy collapses to one family of
    formulas.

    Args:
        uniform_share: Share of uniformly sampled programs in every sample.
        capacity: Number of programs; beyond it the oldest are removed.
        least_joint_share: Least share of probes at which both signs are right.
    """

    def __init__(self, uniform_share: float, capacity: int = 50_000, least_joint_share: float = 0.6) -> None:
        self.uniform_share = uniform_share
        self.capacity = capacity
        self.least_joint_share = least_joint_share
        self.programs: Programs | None = None
        self._uniform = torch.zeros(0, dtype=torch.bool)
        self._known = torch.zeros(0, dtype=torch.bool)

    def __len__(self) -> int:
        return len(self._uniform)

    @property
    def num_uniform(self) -> int:
        """Number of members that were sampled uniformly."""
        return int(self._uniform.sum())

    def add(self, programs: Programs, screened: Screened, *, uniform: bool = False) -> None:
        """Add programs that are right and new; ``uniform`` tells whether they were sampled uniformly."""
        if not len(programs):
            return
        missing = int(screened.signature.max()) + 1 - len(self._known)
        self._known = torch.cat([self._known, self._known.new_zeros(max(0, missing))])
        right = (screened.joint_share >= self.least_joint_share) & ~self._known[screened.signature]
        new = (right & ~screened.unfit).nonzero().squeeze(1)
        new = new[first_of_each(screened.signature[new])]
        self._known[screened.signature[new]] = True
        parts = [programs[new]] if self.programs is None else [self.programs, programs[new]]
        self.programs = Programs.concatenate(parts)[-self.capacity :]
        added = self._uniform.new_full((len(new),), uniform)
        self._uniform = torch.cat([self._uniform, added])[-self.capacity :]

    def sample(self, count: int, generator: torch.Generator) -> Programs:
        """Sample ``count`` programs with replacement."""
        assert self.programs is not None
        own, uniform = (~self._uniform).double(), self._uniform.double()
        weights = (1 - self.uniform_share) * own / own.sum().clamp_min(1)
        weights += self.uniform_share * uniform / uniform.sum().clamp_min(1)
        return self.programs[torch.multinomial(weights, count, replacement=True, generator=generator)]

    def state_dict(self) -> dict[str, Any]:
        """Return the archive as tensors."""
        tensors = {"known": self._known, "uniform": self._uniform}
        if self.programs is not None:
            tensors |= {"operators": self.programs.operators, "operands": self.programs.operands}
        return tensors

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state that :meth:`state_dict` returned."""
        self._known, self._uniform = state["known"], state["uniform"]
        self.programs = Programs(state["operators"], state["operands"]) if "operators" in state else None


class Elites:
    """Keeps the ``capacity`` trained programs whose rewards have the highest lower confidence bounds, best first."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.programs: Programs | None = None
        self._remembered = RememberedRewards()

    def __len__(self) -> int:
        return len(self._remembered)

    @property
    def rewards(self) -> Tensor:
        """The rewards of the members, float64 ``[members]``."""
        return self._remembered.reward

    def update(self, outcome: Outcome) -> None:
        """Add the trained programs of an outcome."""
        succeeded = outcome.succeeded
        told = [outcome.programs[succeeded]]
        programs = Programs.concatenate(told if self.programs is None else [self.programs, *told])
        self._keep_best(programs, self._remembered.extended(outcome, succeeded))

    def revise(self, signature: Tensor, reward: Tensor, standard_error: Tensor | None = None) -> None:
        """Replace the rewards ``[count]`` of members with gradient signatures ``[count]``."""
        if self.programs is not None:
            self._keep_best(self.programs, self._remembered.revised(signature, reward, standard_error))

    def _keep_best(self, programs: Programs, remembered: RememberedRewards) -> None:
        best = remembered.bound.argsort(descending=True, stable=True)[: self.capacity]
        self.programs, self._remembered = programs[best], remembered[best]

    def sample(self, count: int, generator: torch.Generator) -> Programs:
        """Sample ``count`` members uniformly, with replacement."""
        assert self.programs is not None
        return self.programs[torch.randint(len(self), (count,), generator=generator)]

    def state_dict(self) -> dict[str, Any]:
        """Return the members as tensors."""
        if self.programs is None:
            return {}
        return {
            "operators": self.programs.operators,
            "operands": self.programs.operands,
            **self._remembered.state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state that :meth:`state_dict` returned."""
        if state:
            self.programs = Programs(state["operators"], state["operands"])
            self._remembered = RememberedRewards.of_state(state)
