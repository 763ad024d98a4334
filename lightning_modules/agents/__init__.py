"""Reinforcement learning on top of multi-task models."""

from lightning_modules.agents.critic import Critic, NonPositiveCritic

__all__ = ["Critic", "NonPositiveCritic"]
