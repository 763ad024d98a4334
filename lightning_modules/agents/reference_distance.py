"""Distances of an actor to its reference, the model that it started from."""

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from datamodules.sessions.transitions import Transition
from lightning_modules.multitask import MultiTaskModel
from lightning_modules.utilities.precision import probability_of

DistanceName = Literal["actions", "parameters"]
#: Takes the actor, its reference, the rows and the actor's actions there, float [n, tasks]; returns one number.
Distance = Callable[[MultiTaskModel, MultiTaskModel, Transition, Tensor], Tensor]


def distance_by_name(name: DistanceName) -> Distance:
    """Return the distance of a name.

    Raises:
        ValueError: If there is none.
    """
    if name not in _DISTANCES:
        raise ValueError(f"actor_reg_distance is one of {', '.join(_DISTANCES)}, got '{name}'")
    return _DISTANCES[name]


def action_distance(actor: MultiTaskModel, reference: MultiTaskModel, rows: Transition, action: Tensor) -> Tensor:  # noqa: ARG001
    """Return the mean squared difference of the actions, which is one of probabilities."""
    with torch.no_grad():
        expected = probability_of(reference(rows.categorical, rows.numerical))
    return (action - expected).square().mean()


def parameter_distance(actor: MultiTaskModel, reference: MultiTaskModel, rows: Transition, action: Tensor) -> Tensor:  # noqa: ARG001
    """Return the mean over all parameter tensors of their mean squared difference, as the code of RMTL has it.

    A small tensor thereby counts as much as a large one.
    """
    pairs = zip(actor.parameters(), reference.parameters(), strict=True)
    return torch.stack([F.mse_loss(value, start) for value, start in pairs]).mean()


_DISTANCES: dict[str, Distance] = {"actions": action_distance, "parameters": parameter_distance}
