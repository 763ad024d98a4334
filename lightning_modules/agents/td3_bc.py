"""Offline learning with pairs of critics and an actor that stays near the logged actions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from datamodules.sessions.transitions import Transition
from lightning_modules.agents.actor_critic import ActorCritic, ActorLoss
from lightning_modules.agents.behaviour_policies import Behaviour, BehaviourName, clipped_noise
from lightning_modules.agents.settings import AgentSettings
from lightning_modules.agents.task_critics import Critics
from lightning_modules.multitask import MultiTaskModel
from lightning_modules.utilities.precision import probability_of


@dataclass(frozen=True, kw_only=True)
class TD3BCSettings(AgentSettings):
    """Settings of :class:`TD3BC`.

    Attributes:
        behaviour: See :class:`AgentSettings`; uniform actions are not worth being near to.
        noise_std: See :class:`AgentSettings`; wide enough for critics to see what other actions cost.
        noise_clip: See :class:`AgentSettings`.
        policy_noise: Standard deviation of the noise on the targets' actions.
        policy_noise_clip: Largest absolute noise on them.
        alpha: Weight of the values against being near the stored actions.
    """

    behaviour: BehaviourName | Behaviour = "noisy_actor"
    noise_std: float = 0.1
    noise_clip: float = 0.25
    policy_noise: float = 0.1
    policy_noise_clip: float = 0.25
    alpha: float = 2.5

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_not_negative("policy_noise", "policy_noise_clip")
        self.require_positive("alpha")


class TD3BC(ActorCritic):
    """TD3 with behaviour cloning, with two critics a task.

    Fujimoto and Gu, "A Minimalist Approach to Offline Reinforcement Learning", NeurIPS 2021,
    https://arxiv.org/abs/2106.06860, on Fujimoto et al., "Addressing Function Approximation Error in Actor-Critic
    Methods", ICML 2018, https://arxiv.org/abs/1802.09477. Both critics of task ``k`` minimise the mean squared
    difference to::

        y_k = r_k + gamma * min(Q'_k1(s', b_k), Q'_k2(s', b_k)) * (1 - done)
        b   = clip(a'(s') + clip(N(0, policy_noise^2), -policy_noise_clip, policy_noise_clip), 0, 1)

    and the actor, less often than the critics, minimises::

        -sum_k lambda_k * mean Q_k1(s, a_k(s)) + mean (a(s) - a)^2 + actor_reg * mean (a(s) - reference(s))^2

    where ``a`` are the stored actions and ``lambda_k = alpha / mean |Q_k1(s, a_k(s))|`` has no gradient; ``ips_actor``
    weighs the values, and ``actor_reg_distance`` has another distance to the reference. ``train/bc_loss`` is the mean
    squared difference to the stored actions; ``train/critic_loss`` is the sum of both critics'. The papers' states are
    normalised here by the data modules, which standardise numerical features. Probabilities span half the papers'
    actions, from -1 to 1, and so do the defaults of the noise.

    Args:
        field_sizes: See :class:`ActorCritic`.
        num_numerical: See :class:`ActorCritic`.
        tasks: See :class:`ActorCritic`.
        actor: Checkpoint of a multi-task model, a model, or ``{"class_path": ..., "init_args": {...}}`` of one whose
            weights are drawn.
        options: The settings of :class:`TD3BCSettings`.

    Raises:
        ValueError: See :class:`ActorCritic`.
    """

    settings: TD3BCSettings

    def __init__(
        self,
        field_sizes: Sequence[int],
        num_numerical: int,
        tasks: Sequence[str],
        actor: str | dict[str, Any] | MultiTaskModel,
        **options: Any,
    ) -> None:
        settings = TD3BCSettings(**options)
        super().__init__(field_sizes, num_numerical, tasks, actor, settings)
        self.twin_critics, self.twin_critics_target = self.new_critics()

    def critic_pairs(self) -> list[tuple[Critics, Critics]]:
        """Return both critics of all tasks, each with its target."""
        return [(self.critics, self.critics_target), (self.twin_critics, self.twin_critics_target)]

    def next_value(self, categorical: Tensor, numerical: Tensor) -> Tensor:
        """Return the smaller of both targets' values of what the actor's target, with noise, does next."""
        action = probability_of(self.actor_target(categorical, numerical))
        noise = clipped_noise(action, 0.0, self.settings.policy_noise, self.settings.policy_noise_clip, self.generator)
        noisy = (action + noise).clamp(0, 1)
        lookup = self.critics_target.look_up(categorical)
        first, second = (target.values(lookup, numerical, noisy) for _, target in self.critic_pairs())
        return torch.minimum(first, second)

    def actor_loss(self, rows: Transition) -> ActorLoss:
        """Return the actor's loss, with its difference to the stored actions."""
        action = self(rows.categorical, rows.numerical)
        difference = (action - rows.action).square().mean()
        value = self.action_values(rows, action)
        weight = self.settings.alpha / value.detach().abs().mean(dim=0).clamp(min=torch.finfo(value.dtype).eps)
        loss = difference - (weight * value.mean(dim=0)).sum()
        if self.settings.actor_reg:
            loss = loss + self.settings.actor_reg * self.reference_loss(rows, action)
        return ActorLoss(loss, difference.detach())
