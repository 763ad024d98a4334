"""The interface of search strategies: ask for programs, tell their outcome."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from lightning_modules.search.screening import Screened, Screening, ScreeningResult
from lightning_modules.search.space import Programs, SearchSpace


@dataclass(frozen=True)
class Outcome:
    """The outcome of a batch of programs.

    Attributes:
        programs: The programs, in the order in which the strategy proposed them.
        screened: Their screening results.
        reward: Reward of each, or that of an earlier program with the same gradient signature; nan where there is
            none, float64 ``[count]``. That of a failed trial is less than all rewards of trained ones until then.
        broken: Marks the programs whose trial failed, or that of the earlier one, bool ``[count]``; None marks none.
        standard_error: Of each reward, over the sampling of the reward rows, float64 ``[count]``; nan where it is
            unknown, and None where all are.
    """

    programs: Programs
    screened: Screened
    reward: Tensor
    broken: Tensor | None = None
    standard_error: Tensor | None = None

    def __getitem__(self, which: Tensor) -> "Outcome":
        broken, error = (None if part is None else part[which] for part in (self.broken, self.standard_error))
        return Outcome(self.programs[which], self.screened[which], self.reward[which], broken, error)

    @property
    def trained(self) -> Tensor:
        """Mark the programs that have had a trial, failed or not, bool ``[count]``."""
        return self.reward.isfinite() & (self.screened.result == ScreeningResult.TRAINABLE)

    @property
    def succeeded(self) -> Tensor:
        """Mark the programs whose trial did not fail, bool ``[count]``."""
        return self.trained if self.broken is None else self.trained & ~self.broken

    @property
    def order(self) -> Tensor:
        """Rewards that order programs of all rounds: -inf where the trial failed, float64 ``[count]``."""
        return self.reward if self.broken is None else self.reward.masked_fill(self.broken, -torch.inf)

    @property
    def error(self) -> Tensor:
        """The standard error of each reward, nan where it is unknown, float64 ``[count]``."""
        return torch.full_like(self.reward, torch.nan) if self.standard_error is None else self.standard_error

    def priced(self, price: float, leaves: int) -> "Outcome":
        """Return the outcome with rewards less a price for every operator of a program's expression.

        A program with the signature of an earlier one pays for its own operators, so that of two that train alike the
        shorter one has the higher reward. Those of failed trials stay.

        Args:
            price: The price of an operator.
            leaves: Number of leaves of the search space.
        """
        prices = price * self.programs.sizes(leaves).double()
        if self.broken is not None:
            prices = prices.masked_fill(self.broken, 0.0)
        return replace(self, reward=self.reward - prices)


class Strategy(ABC):
    """Proposes programs and learns from their rewards.

    Args:
        space: The search space.
        generator: The strategy's only source of randomness.
    """

    def __init__(self, space: SearchSpace, generator: torch.Generator) -> None:
        self.space = space
        self.generator = generator

    @abstractmethod
    def ask(self, count: int) -> Programs:
        """Propose ``count`` programs."""

    def choose(self, screened: Screened, trainable: Tensor, count: int) -> Tensor:  # noqa: ARG002
        """Choose which of the programs last asked for are trained.

        Args:
            screened: Their screening results.
            trainable: Indices of the trainable ones.
            count: The number to choose; all if there are fewer.
        """
        return trainable[torch.randperm(len(trainable), generator=self.generator)[:count]]

    @abstractmethod
    def tell(self, outcome: Outcome) -> dict[str, float]:
        """Learn from all programs asked for since the last call, in their order, and return figures to log."""

    def know(  # noqa: B027 (not every strategy has a memory)
        self, gradient: Tensor, reward: Tensor, standard_error: Tensor
    ) -> None:
        """Learn from losses that are known before the first round and need not be programs of the space.

        Args:
            gradient: Derivatives of each on the screening probe, float64 ``[count, points]``.
            reward: The reward of each, float64 ``[count]``.
            standard_error: Of each reward, nan where it is unknown, float64 ``[count]``.
        """

    def revise(  # noqa: B027 (not every strategy has a memory)
        self, signature: Tensor, reward: Tensor, standard_error: Tensor | None = None
    ) -> None:
        """Replace the rewards of remembered programs by those of longer trainings.

        Args:
            signature: Numbers of gradient signatures, int64 ``[count]``.
            reward: What the programs with each of them are worth, float64 ``[count]``.
            standard_error: Of each reward, float64 ``[count]``; None where they are unknown.
        """

    def warm_up(self, screening: Screening, updates: int) -> Iterator[dict[str, float]]:  # noqa: ARG002
        """Learn from screening alone, before any trial, and yield figures to log after each update."""
        return iter(())

    def state_dict(self) -> dict[str, Any]:
        """Return everything that later proposals depend on."""
        return {"generator": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state that :meth:`state_dict` returned."""
        self.generator.set_state(state["generator"])
