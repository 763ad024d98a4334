"""The plain policy gradient."""

from torch import Tensor

from lightning_modules.search.strategies.policy_gradient import PolicyGradient


class REINFORCE(PolicyGradient):
    def surrogate(self, log_probability: Tensor, old_log_probability: Tensor, advantage: Tensor) -> Tensor:
        return log_probability * advantage
