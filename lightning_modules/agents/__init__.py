"""Reinforcement learning on top of multi-task models."""

from lightning_modules.agents.actor_critic import ActorCritic
from lightning_modules.agents.behaviour_policies import ActorActions, Behaviour, NoisyActorActions, UniformActions
from lightning_modules.agents.critic import Critic, NonPositiveCritic
from lightning_modules.agents.critic_weighted_loss import CriticWeightedLoss
from lightning_modules.agents.ddpg import DDPG
from lightning_modules.agents.metrics import SessionScore
from lightning_modules.agents.replay_buffer import ReplayBuffer
from lightning_modules.agents.settings import AgentSettings
from lightning_modules.agents.task_critics import Critics, load_critics
from lightning_modules.agents.td3_bc import TD3BC

__all__ = [
    "DDPG",
    "TD3BC",
    "ActorActions",
    "ActorCritic",
    "AgentSettings",
    "Behaviour",
    "Critic",
    "CriticWeightedLoss",
    "Critics",
    "NoisyActorActions",
    "NonPositiveCritic",
    "ReplayBuffer",
    "SessionScore",
    "UniformActions",
    "load_critics",
]
