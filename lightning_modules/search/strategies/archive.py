"""All right-direction programs met so far: examples of valid losses, each gradient once."""

from typing import Any

import torch
from torch import Tensor

from lightning_modules.search.programs import Programs
from lightning_modules.search.screening import Screened, first_of_each


class Archive:
    """Collects programs that are right for both labels, one for every gradient signature.

    Label-free programs are right for one label at a time and never enter, and a gradient seen before earns nothing, so
    that imitating the archive teaches to write valid and different losses.

    Args:
        capacity: Beyond this many programs the oldest leave.
        least_joint_share: Share of probes at which both signs have to be right.
    """

    def __init__(self, capacity: int = 50_000, least_joint_share: float = 0.6) -> None:
        self.capacity = capacity
        self.least_joint_share = least_joint_share
        self.programs: Programs | None = None
        self._known = torch.zeros(0, dtype=torch.bool)

    def __len__(self) -> int:
        return 0 if self.programs is None else len(self.programs)

    def add(self, programs: Programs, screened: Screened) -> None:
        """Take in what is right and new."""
        missing = int(screened.signature.max()) + 1 - len(self._known)
        self._known = torch.cat([self._known, self._known.new_zeros(max(0, missing))])
        new = (screened.joint_share >= self.least_joint_share) & ~self._known[screened.signature]
        new &= first_of_each(screened.signature)
        self._known[screened.signature[new]] = True
        parts = [programs[new]] if self.programs is None else [self.programs, programs[new]]
        self.programs = Programs.concatenate(parts)[-self.capacity :]

    def sample(self, count: int, generator: torch.Generator) -> Programs:
        """Draw ``count`` programs uniformly, with replacement."""
        assert self.programs is not None
        return self.programs[torch.randint(len(self), (count,), generator=generator)]

    def state_dict(self) -> dict[str, Any]:
        """Return the archive as tensors."""
        tensors: dict[str, Tensor] = {"known": self._known}
        if self.programs is not None:
            tensors |= {"operators": self.programs.operators, "operands": self.programs.operands}
        return tensors

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state that :meth:`state_dict` returned."""
        self._known = state["known"]
        self.programs = Programs(state["operators"], state["operands"]) if "operators" in state else None
