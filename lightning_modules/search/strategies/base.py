"""What every search strategy is: asked for programs, told what became of them."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lightning_modules.search.screening import Screened, ScreeningResult
from lightning_modules.search.space import Programs, SearchSpace


@dataclass(frozen=True)
class Outcome:
    """What became of a batch of programs.

    Attributes:
        programs: The programs, in the order in which the strategy gave them.
        screened: What screening said of each.
        reward: Measured reward of each, or that of an earlier program with the same gradient; nan where there is
            none, float64 ``[count]``. Where training broke, it is less than all that were trained until then have.
        broken: Marks the programs whose training broke, or that of the earlier one, bool ``[count]``; None marks none.
    """

    programs: Programs
    screened: Screened
    reward: Tensor
    broken: Tensor | None = None

    @property
    def trained(self) -> Tensor:
        """Mark the programs whose training was tried, whether it broke or not, bool ``[count]``."""
        return self.reward.isfinite() & (self.screened.verdict == ScreeningResult.TRAINABLE)

    @property
    def succeeded(self) -> Tensor:
        """Mark the programs that were trained, bool ``[count]``."""
        return self.trained if self.broken is None else self.trained & ~self.broken

    @property
    def order(self) -> Tensor:
        """Rewards by which to order programs of all rounds: -inf where training broke, float64 ``[count]``."""
        return self.reward if self.broken is None else self.reward.masked_fill(self.broken, -torch.inf)


class Strategy(ABC):
    """Proposes programs and learns from their rewards.

    Args:
        space: What the programs are made of.
        generator: The strategy's only source of randomness.
    """

    def __init__(self, space: SearchSpace, generator: torch.Generator) -> None:
        self.space = space
        self.generator = generator

    @abstractmethod
    def ask(self, count: int) -> Programs:
        """Propose ``count`` programs."""

    def choose(self, screened: Screened, trainable: Tensor, count: int) -> Tensor:  # noqa: ARG002
        """Choose ``count`` of the programs last asked for, or all if there are fewer, to spend training on.

        Args:
            screened: Screening's findings on those programs.
            trainable: Indices of the trainable ones.
            count: How many are wanted.
        """
        return trainable[torch.randperm(len(trainable), generator=self.generator)[:count]]

    @abstractmethod
    def tell(self, outcome: Outcome) -> dict[str, float]:
        """Learn from all programs asked for since the last call, in their order; return figures to log."""

    def warm_up(self, screen: Callable[[Programs], Screened], updates: int) -> Iterator[dict[str, float]]:  # noqa: ARG002
        """Learn from screening alone, before any training; yields figures to log after each update."""
        return iter(())

    def state_dict(self) -> dict[str, Any]:
        """Return everything that later proposals depend on."""
        return {"generator": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state that :meth:`state_dict` returned."""
        self.generator.set_state(state["generator"])
