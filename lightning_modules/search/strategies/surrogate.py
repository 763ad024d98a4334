"""Guesses rewards from gradients, to spend training on the most promising of many trainable programs."""

from typing import Any

import torch
from torch import Tensor

from lightning_modules.search.strategies.base import Outcome


class Surrogate:
    """Nearest neighbours in the shape of the gradient over the screening probe.

    The gradient by the prediction is all that training sees of a loss, and its scale is lost on adaptive optimizers, so
    programs with gradients of one shape earn like rewards. The guess is the mean quantile of the rewards of the nearest
    trained programs, weighted by inverse squared distance.

    Args:
        neighbours: Number of trained programs in a guess.
    """

    def __init__(self, neighbours: int = 5) -> None:
        self.neighbours = neighbours
        self._shapes: Tensor | None = None
        self._rewards = torch.empty(0, dtype=torch.float64)

    def __len__(self) -> int:
        return len(self._rewards)

    def update(self, outcome: Outcome) -> None:
        """Take in the programs whose training was tried."""
        shapes = _shape(outcome.screened.gradient[outcome.trained])
        self._shapes = shapes if self._shapes is None else torch.cat([self._shapes, shapes])
        self._rewards = torch.cat([self._rewards, outcome.order[outcome.trained]])

    def guess(self, gradient: Tensor) -> Tensor:
        """Return the expected quantile of the reward ``[count]`` of programs with gradients ``[count, points]``."""
        assert self._shapes is not None
        quantile = self._rewards.argsort().argsort().double() / max(1, len(self._rewards) - 1)
        distance = torch.cdist(_shape(gradient), self._shapes)
        nearest = distance.topk(min(self.neighbours, len(self)), largest=False)
        weight = 1 / (nearest.values + 1e-3) ** 2
        return (weight * quantile[nearest.indices]).sum(1) / weight.sum(1)

    def state_dict(self) -> dict[str, Any]:
        """Return what was taken in as tensors."""
        return {"shapes": self._shapes, "rewards": self._rewards}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state that :meth:`state_dict` returned."""
        self._shapes, self._rewards = state["shapes"], state["rewards"]


def _shape(gradient: Tensor) -> Tensor:
    return gradient / gradient.abs().amax(1, keepdim=True).clamp_min(torch.finfo(gradient.dtype).tiny)
