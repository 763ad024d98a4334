"""All right-direction programs met so far: examples of valid losses, each gradient once."""

from typing import Any

import torch

from lightning_modules.search.programs import Programs
from lightning_modules.search.screening import Screened, first_of_each


class Archive:
    """Collects programs that are right for both labels, one for every gradient signature.

    Label-free programs are right for one label at a time and never enter, and a gradient seen before earns nothing, so
    that imitating the archive teaches to write valid and different losses. Samples keep a fixed share of uniformly
    drawn programs: left to its own draws a policy narrows down to the family of formulas that it finds easiest.

    Args:
        uniform_share: Share of uniformly drawn programs in every sample.
        capacity: Beyond this many programs the oldest leave.
        least_joint_share: Share of probes at which both signs have to be right.
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

    def add(self, programs: Programs, screened: Screened, *, uniform: bool = False) -> None:
        """Take in what is right and new; ``uniform`` says that the programs were drawn uniformly."""
        missing = int(screened.signature.max()) + 1 - len(self._known)
        self._known = torch.cat([self._known, self._known.new_zeros(max(0, missing))])
        right = (screened.joint_share >= self.least_joint_share) & ~self._known[screened.signature]
        new = right.nonzero().squeeze(1)
        new = new[first_of_each(screened.signature[new])]
        self._known[screened.signature[new]] = True
        parts = [programs[new]] if self.programs is None else [self.programs, programs[new]]
        self.programs = Programs.concatenate(parts)[-self.capacity :]
        born = self._uniform.new_full((len(new),), uniform)
        self._uniform = torch.cat([self._uniform, born])[-self.capacity :]

    def sample(self, count: int, generator: torch.Generator) -> Programs:
        """Draw ``count`` programs with replacement."""
        assert self.programs is not None
        drawn, uniform = (~self._uniform).double(), self._uniform.double()
        weights = (1 - self.uniform_share) * drawn / drawn.sum().clamp_min(1)
        weights += self.uniform_share * uniform / uniform.sum().clamp_min(1)
        return self.programs[torch.multinomial(weights, count, replacement=True, generator=generator)]

    def state_dict(self) -> dict[str, Any]:
        """Return the archive as tensors."""
        tensors = {"known": self._known, "uniform": self._uniform}
        if self.programs is not None:
            tensors |= {"operators": self.programs.operators, "operands": self.programs.operands}
        return tensors

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state that :meth:`state_dict` returned."""
        self._known, self._uniform = state["known"], state["uniform"]
        self.programs = Programs(state["operators"], state["operands"]) if "operators" in state else None
