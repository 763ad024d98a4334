"""Behaviour policies, which choose the actions that fill the replay."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor

from lightning_modules.utilities.serialization import Described

BehaviourName = Literal["uniform", "actor", "noisy_actor"]


class Behaviour(Described, ABC):
    """Chooses the action, a probability for every task, for rows whose transitions are stored."""

    @abstractmethod
    def act(self, probability: Callable[[], Tensor], label: Tensor, generator: torch.Generator) -> Tensor:
        """Return the actions.

        Args:
            probability: Returns what the actor predicts, float [n, tasks]; not called unless that is needed.
            label: The labels of the rows, float [n, tasks], in whose shape, type and device the actions are.
            generator: Of everything that is drawn, on the CPU.

        Returns:
            Float [n, tasks], in [0, 1].
        """


class UniformActions(Behaviour):
    """Every probability drawn from [0, 1): says most about what errors cost, and little about the actor's own."""

    def act(self, probability: Callable[[], Tensor], label: Tensor, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        """Return the actions; see :class:`Behaviour`."""
        return torch.rand(label.shape, dtype=label.dtype, generator=generator).to(label.device)


class ActorActions(Behaviour):
    """The actor's predictions."""

    def act(self, probability: Callable[[], Tensor], label: Tensor, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        """Return the actions; see :class:`Behaviour`."""
        return probability()


class NoisyActorActions(Behaviour):
    """The actor's predictions ``p`` with normal noise: ``clip(p + clip(N(mean, std^2), -clip, clip), 0, 1)``.

    Args:
        mean: Mean of the noise.
        std: Standard deviation of the noise before it is clipped.
        clip: Largest absolute noise.

    Raises:
        ValueError: If ``std`` or ``clip`` is negative.
    """

    def __init__(self, mean: float = 0.0, std: float = 0.4, clip: float = 3e-3) -> None:
        if min(std, clip) < 0:
            raise ValueError(f"std and clip of the noise must be at least 0, got std={std} and clip={clip}")
        self.mean, self.std, self.clip = mean, std, clip

    def act(self, probability: Callable[[], Tensor], label: Tensor, generator: torch.Generator) -> Tensor:
        """Return the actions; see :class:`Behaviour`."""
        return (probability() + clipped_noise(label, self.mean, self.std, self.clip, generator)).clamp(0, 1)


def clipped_noise(like: Tensor, mean: float, std: float, clip: float, generator: torch.Generator) -> Tensor:
    """Return normal noise, cut to [-clip, clip], in the shape, type and device of a tensor."""
    noise = torch.randn(like.shape, dtype=like.dtype, generator=generator).to(like.device)
    return (mean + std * noise).clamp(-clip, clip)


def behaviour_policy(behaviour: str | Behaviour, *, mean: float, std: float, clip: float) -> Behaviour:
    """Return the behaviour policy of a name; one that is no name is returned as it is.

    Args:
        behaviour: ``uniform``, ``actor``, ``noisy_actor`` or a policy.
        mean: Mean of the noise of ``noisy_actor``.
        std: Standard deviation of that noise.
        clip: Largest absolute noise.

    Raises:
        ValueError: If there is no such behaviour.
    """
    if isinstance(behaviour, Behaviour):
        return behaviour
    named: dict[str, Behaviour] = {
        "uniform": UniformActions(),
        "actor": ActorActions(),
        "noisy_actor": NoisyActorActions(mean, std, clip),
    }
    if behaviour not in named:
        raise ValueError(f"there is no behaviour '{behaviour}'; choose {', '.join(get_args(BehaviourName))}")
    return named[behaviour]
