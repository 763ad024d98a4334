"""What acts when the replay is filled."""

from collections.abc import Callable
from typing import Literal, Protocol, get_args

import torch
from torch import Tensor

BehaviourName = Literal["uniform", "actor", "noisy_actor"]


class Behaviour(Protocol):
    """Chooses the action, a probability for every task, for rows whose transitions are stored."""

    def __call__(self, probability: Callable[[], Tensor], label: Tensor, generator: torch.Generator) -> Tensor:
        """Return the actions.

        Args:
            probability: Returns what the actor predicts, float [n, tasks]; not called unless that is needed.
            label: The labels of the rows, float [n, tasks], in whose shape, type and device the actions are.
            generator: Of everything that is drawn, on the CPU.

        Returns:
            Float [n, tasks], in [0, 1].
        """


class UniformActions:
    """Every probability drawn from [0, 1): says most about what errors cost, and little about the actor's own."""

    def __call__(self, probability: Callable[[], Tensor], label: Tensor, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        """Return the actions; see :class:`Behaviour`."""
        return torch.rand(label.shape, dtype=label.dtype, generator=generator).to(label.device)


class ActorActions:
    """What the actor predicts."""

    def __call__(self, probability: Callable[[], Tensor], label: Tensor, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        """Return the actions; see :class:`Behaviour`."""
        return probability()


class NoisyActorActions:
    """What the actor predicts, with normal noise: ``clip(p + clip(N(mean, std^2), -clip, clip), 0, 1)``.

    Args:
        mean: Mean of the noise.
        std: Standard deviation of the noise before it is clipped.
        clip: Largest absolute noise.
    """

    def __init__(self, mean: float, std: float, clip: float) -> None:
        self.mean, self.std, self.clip = mean, std, clip

    def __call__(self, probability: Callable[[], Tensor], label: Tensor, generator: torch.Generator) -> Tensor:
        """Return the actions; see :class:`Behaviour`."""
        return (probability() + clipped_noise(label, self.mean, self.std, self.clip, generator)).clamp(0, 1)


def clipped_noise(like: Tensor, mean: float, std: float, clip: float, generator: torch.Generator) -> Tensor:
    """Return normal noise, cut to [-clip, clip], in the shape, type and device of a tensor."""
    noise = torch.randn(like.shape, dtype=like.dtype, generator=generator).to(like.device)
    return (mean + std * noise).clamp(-clip, clip)


def behaviour_by_name(name: str, *, mean: float, std: float, clip: float) -> Behaviour:
    """Return a behaviour; ``mean``, ``std`` and ``clip`` are the noise of ``noisy_actor``.

    Raises:
        ValueError: If there is no such behaviour.
    """
    behaviours: dict[str, Behaviour] = {
        "uniform": UniformActions(),
        "actor": ActorActions(),
        "noisy_actor": NoisyActorActions(mean, std, clip),
    }
    if name not in behaviours:
        raise ValueError(f"there is no behaviour '{name}'; choose {', '.join(get_args(BehaviourName))}")
    return behaviours[name]
