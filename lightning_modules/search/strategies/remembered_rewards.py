"""Rewards that a strategy remembers, with their standard errors."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from lightning_modules.search.strategies.base import Outcome

#: In the place of a gradient signature's number; no program has it.
NO_SIGNATURE = -1


def _empty() -> Tensor:
    return torch.empty(0, dtype=torch.float64)


@dataclass(frozen=True)
class RememberedRewards:
    """Rewards of programs, with standard errors and gradient signatures.

    Attributes:
        reward: The rewards, -inf where the trial failed, float64 ``[n]``.
        standard_error: Their standard errors, nan where unknown, float64 ``[n]``.
        signature: Numbers of the programs' gradient signatures, int64 ``[n]``.
    """

    reward: Tensor = field(default_factory=_empty)
    standard_error: Tensor = field(default_factory=_empty)
    signature: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.int64))

    def __len__(self) -> int:
        return len(self.reward)

    def __getitem__(self, index: Tensor) -> "RememberedRewards":
        return RememberedRewards(self.reward[index], self.standard_error[index], self.signature[index])

    @property
    def bound(self) -> Tensor:
        """Lower confidence bounds, float64 ``[n]``; see :func:`lower_bound`."""
        return lower_bound(self.reward, self.standard_error)

    def extended(self, outcome: Outcome, which: Tensor) -> "RememberedRewards":
        """Return these rewards followed by those of an outcome that are marked, bool ``[count]``."""
        return self.followed_by(outcome.order[which], outcome.error[which], outcome.screened.signature[which])

    def followed_by(self, reward: Tensor, standard_error: Tensor, signature: Tensor) -> "RememberedRewards":
        """Return these rewards followed by others, each ``[count]``."""
        return RememberedRewards(
            torch.cat([self.reward, reward]),
            torch.cat([self.standard_error, standard_error]),
            torch.cat([self.signature, signature]),
        )

    def revised(self, signature: Tensor, reward: Tensor, standard_error: Tensor | None) -> "RememberedRewards":
        """Return these with other rewards ``[count]`` for gradient signatures ``[count]``; see Strategy.revise."""
        if not len(signature) or not len(self):
            return self
        errors = torch.full_like(reward, torch.nan) if standard_error is None else standard_error
        matches = self.signature[:, None] == signature
        found, place = matches.any(1), matches.int().argmax(1)
        return RememberedRewards(
            torch.where(found, reward[place], self.reward),
            torch.where(found, errors[place], self.standard_error),
            self.signature,
        )

    def state(self) -> dict[str, Tensor]:
        """Return the rewards as tensors."""
        state = {"rewards": self.reward}
        if not len(self):
            # The state of a new search names what every state has to have, those of earlier versions too.
            return state
        return {**state, "standard_errors": self.standard_error, "signatures": self.signature}

    @classmethod
    def of_state(cls, state: Mapping[str, Any]) -> "RememberedRewards":
        """Return the rewards of a state; one of an earlier version has no standard errors, or no signatures.

        Raises:
            ValueError: If there are not as many standard errors or signatures as rewards.
        """
        rewards: Tensor = state["rewards"]
        errors: Tensor = state.get("standard_errors", torch.full_like(rewards, torch.nan))
        signatures: Tensor = state.get("signatures", torch.full((len(rewards),), NO_SIGNATURE))
        if errors.shape != rewards.shape or signatures.shape != rewards.shape:
            raise ValueError(
                f"{len(errors)} standard errors and {len(signatures)} signatures of {len(rewards)} rewards"
            )
        return cls(rewards, errors.double(), signatures)


def lower_bound(reward: Tensor, standard_error: Tensor) -> Tensor:
    """Return rewards less their standard errors, or as they are where these are unknown.

    The highest of many noisy rewards is mostly one with much noise. The lower end of a one-sided interval of 84 % makes
    a program show more the less is known of it, as the answer of a search has to be better by its standard error.
    """
    return reward - standard_error.nan_to_num(0.0)
