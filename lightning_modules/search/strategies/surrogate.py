"""A surrogate model that predicts rewards from gradients, to train the most promising of many programs."""

from typing import Any

import torch
from torch import Tensor

from lightning_modules.search.strategies.base import Outcome
from lightning_modules.search.strategies.memory import revised, stored_signatures


class Surrogate:
    """k nearest neighbours in the shape of the gradient on the screening probe.

    Training depends on a loss only through its gradient by the prediction, and adaptive optimizers remove the scale of
    it, so programs with gradients of the same shape have similar rewards. The prediction is the mean quantile of the
    rewards of the nearest trained programs, weighted by inverse squared distance.

    Args:
        neighbours: Number of trained programs in a prediction.
    """

    def __init__(self, neighbours: int = 5) -> None:
        self.neighbours = neighbours
        self._shapes: Tensor | None = None
        self._rewards = torch.empty(0, dtype=torch.float64)
        self._signatures = torch.empty(0, dtype=torch.int64)

    def __len__(self) -> int:
        return len(self._rewards)

    def update(self, outcome: Outcome) -> None:
        """Add the programs of an outcome that have had a trial."""
        shapes = _shape(outcome.screened.gradient[outcome.trained])
        self._shapes = shapes if self._shapes is None else torch.cat([self._shapes, shapes])
        self._rewards = torch.cat([self._rewards, outcome.order[outcome.trained]])
        self._signatures = torch.cat([self._signatures, outcome.screened.signature[outcome.trained]])

    def revise(self, signature: Tensor, reward: Tensor) -> None:
        """Replace the rewards ``[count]`` of programs with gradient signatures ``[count]``."""
        self._rewards = revised(self._rewards, self._signatures, signature, reward)

    def predict(self, gradient: Tensor) -> Tensor:
        """Return the predicted quantile of the reward ``[count]`` of programs with gradients ``[count, points]``."""
        assert self._shapes is not None
        quantile = self._rewards.argsort().argsort().double() / max(1, len(self._rewards) - 1)
        distance = torch.cdist(_shape(gradient), self._shapes)
        nearest = distance.topk(min(self.neighbours, len(self)), largest=False)
        weight = 1 / (nearest.values + 1e-3) ** 2
        return (weight * quantile[nearest.indices]).sum(1) / weight.sum(1)

    def state_dict(self) -> dict[str, Any]:
        """Return the shapes and rewards of the programs."""
        state = {"shapes": self._shapes, "rewards": self._rewards}
        return {**state, "signatures": self._signatures} if len(self) else state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state that :meth:`state_dict` returned."""
        self._shapes, self._rewards = state["shapes"], state["rewards"]
        self._signatures = stored_signatures(state, len(self._rewards))


def _shape(gradient: Tensor) -> Tensor:
    return gradient / gradient.abs().amax(1, keepdim=True).clamp_min(torch.finfo(gradient.dtype).tiny)
