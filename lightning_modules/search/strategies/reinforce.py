"""The plain policy gradient."""

from typing import Any

import torch
from torch import Tensor

from lightning_modules.search.space import SearchSpace
from lightning_modules.search.strategies.policy_gradient import PolicyGradient


class REINFORCE(PolicyGradient):
    """One step on the log-probability of every decision times the advantage (Williams, Machine Learning 1992).

    Args:
        space: The search space.
        generator: The only source of randomness.
        epochs: Gradient steps on the programs of one round; the estimate is exact for the first of them.
        options: See :class:`PolicyGradient`.
    """

    def __init__(self, space: SearchSpace, generator: torch.Generator, *, epochs: int = 1, **options: Any) -> None:
        super().__init__(space, generator, epochs=epochs, **options)

    def objective(self, log_ratio: Tensor, advantage: Tensor) -> Tensor:
        """Return the log-probability, up to a constant, times the advantage."""
        return log_ratio * advantage
