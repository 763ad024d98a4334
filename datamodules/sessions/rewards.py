"""Rewards of agents: functions of a predicted probability and the label."""

from abc import ABC, abstractmethod
from typing import Literal, get_args

from torch import Tensor

from lightning_modules.utilities.precision import at_least_single
from lightning_modules.utilities.serialization import Described

RewardName = Literal["log_loss", "absolute_error"]

# Keeps the reward of a certain but wrong prediction finite: at least ln(1e-4) = -9.2.
_MARGIN = 1e-4


class Reward(Described, ABC):
    """A function of actions and labels, at most 0 and the greater the better the prediction."""

    @abstractmethod
    def __call__(self, action: Tensor, label: Tensor) -> Tensor:
        """Return the reward of every row and task.

        Args:
            action: Predicted probabilities, float [..., tasks].
            label: 0 or 1, in the shape of the actions.

        Returns:
            Float [..., tasks].
        """


class LogLossReward(Reward):
    """``y ln a + (1 - y) ln(1 - a)``, with the action ``a`` clipped to [1e-4, 1 - 1e-4].

    Liu et al., "Multi-Task Recommendations with Reinforcement Learning", WWW 2023, https://arxiv.org/abs/2302.03328.
    """

    def __call__(self, action: Tensor, label: Tensor) -> Tensor:
        """Return the reward of every row and task; see :class:`Reward`."""
        # In bfloat16 the upper bound would be 1, and the reward infinite or not a number.
        action = at_least_single(action).clamp(_MARGIN, 1 - _MARGIN)
        return label * action.log() + (1 - label) * (-action).log1p()


class AbsoluteErrorReward(Reward):
    """``-|a - y|``, as in Liu et al., WWW 2023, https://arxiv.org/abs/2302.03328."""

    def __call__(self, action: Tensor, label: Tensor) -> Tensor:
        """Return the reward of every row and task; see :class:`Reward`."""
        return -(action - label).abs()


_REWARDS: dict[str, type[Reward]] = {"log_loss": LogLossReward, "absolute_error": AbsoluteErrorReward}


def reward_function(reward: str | Reward) -> Reward:
    """Return the reward of a name, ``log_loss`` or ``absolute_error``; a reward is returned as it is.

    Raises:
        ValueError: If there is no such reward.
    """
    if isinstance(reward, Reward):
        return reward
    if reward not in _REWARDS:
        raise ValueError(f"there is no reward '{reward}'; choose {' or '.join(get_args(RewardName))}")
    return _REWARDS[reward]()
