"""Proximal policy optimisation."""

from typing import Any

import torch
from torch import Tensor

from lightning_modules.search.space import SearchSpace
from lightning_modules.search.strategies.policy_gradient import PolicyGradient


class PPO(PolicyGradient):
    """Policy gradient with a clipped ratio for every decision (Schulman et al., 2017, https://arxiv.org/abs/1707.06347).

    Args:
        space: The search space.
        generator: The only source of randomness.
        clip: Largest relative change of a decision's probability that the objective rewards.
        options: See :class:`PolicyGradient`.
    """

    def __init__(self, space: SearchSpace, generator: torch.Generator, *, clip: float = 0.2, **options: Any) -> None:
        super().__init__(space, generator, **options)
        self.clip = clip

    def objective(self, log_ratio: Tensor, advantage: Tensor) -> Tensor:
        """Return min(r A, clip(r) A) for the ratio r of each decision."""
        ratio = log_ratio.exp()
        return torch.minimum(ratio * advantage, ratio.clamp(1 - self.clip, 1 + self.clip) * advantage)

    def diagnostics(self, log_ratio: Tensor) -> dict[str, float]:
        """Return the share of decisions whose ratio is clipped."""
        return {"clip_fraction": ((log_ratio.exp() - 1).abs() > self.clip).double().mean().item()}
