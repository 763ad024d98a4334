"""Proximal policy optimisation."""

import torch
from torch import Tensor

from lightning_modules.search.strategies.policy_gradient import PolicyGradient


class PPO(PolicyGradient):
    clip = 0.2

    def surrogate(self, log_probability: Tensor, old_log_probability: Tensor, advantage: Tensor) -> Tensor:
        ratio = (log_probability - old_log_probability).exp()
        return torch.minimum(ratio * advantage, ratio.clamp(1 - self.clip, 1 + self.clip) * advantage)
