"""What a predicted probability earns once the label is known."""

from collections.abc import Callable
from typing import Literal, get_args

from torch import Tensor

RewardName = Literal["log_loss", "absolute_error"]
#: Takes actions, probabilities of shape [..., tasks], and 0/1 labels of the same shape; returns the rewards.
Reward = Callable[[Tensor, Tensor], Tensor]

# Keeps the reward of a certain but wrong prediction finite: at least ln(1e-4) = -9.2.
_MARGIN = 1e-4


def reward_function(name: str) -> Reward:
    """Return a reward by name, at most 0 and the greater the better the prediction.

    ``log_loss`` is y ln a + (1 - y) ln(1 - a), with the action a clipped to [1e-4, 1 - 1e-4], and ``absolute_error`` is
    -|a - y|; both as in Liu et al., "Multi-Task Recommendations with Reinforcement Learning", WWW 2023,
    https://arxiv.org/abs/2302.03328.

    Raises:
        ValueError: If there is no such reward.
    """
    if name not in _REWARDS:
        raise ValueError(f"there is no reward '{name}'; choose {' or '.join(get_args(RewardName))}")
    return _REWARDS[name]


def _log_loss(action: Tensor, label: Tensor) -> Tensor:
    action = action.clamp(_MARGIN, 1 - _MARGIN)
    return label * action.log() + (1 - label) * (-action).log1p()


def _absolute_error(action: Tensor, label: Tensor) -> Tensor:
    return -(action - label).abs()


_REWARDS: dict[str, Reward] = {"log_loss": _log_loss, "absolute_error": _absolute_error}
