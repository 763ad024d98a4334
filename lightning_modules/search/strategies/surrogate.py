"""A surrogate model that predicts rewards from gradients, to train the most promising of many programs."""

from typing import Any

import torch
from torch import Tensor

from lightning_modules.search.screening import Screened
from lightning_modules.search.strategies.base import Outcome
from lightning_modules.search.strategies.controller import gumbel
from lightning_modules.search.strategies.remembered_rewards import RememberedRewards

# Between the quartiles of a normal distribution lie so many standard deviations.
_QUARTILES = 1.349
# No variance at all would be an infinite weight.
_LEAST_VARIANCE = 1e-12


class Surrogate:
    """k nearest neighbours in the shape of the gradient on the screening probe.

    Training depends on a loss only through its gradient by the prediction, and adaptive optimizers remove the scale of
    it, so programs with gradients of the same shape have similar rewards. The prediction is the mean quantile of the
    rewards of the nearest trained programs, weighted by inverse squared distance, and by ``1 / (se^2 + tau^2)`` as a
    meta-analysis weights studies (DerSimonian and Laird, Controlled Clinical Trials 1986,
    https://doi.org/10.1016/0197-2456%2886%2990046-2). Here ``se`` is the standard error of a reward and ``tau^2`` the
    variance between true rewards, that of the middle half of the rewards less the noise, but no less than the noise,
    since neighbours are not one formula. A reward without a standard error has the median one; without any, weights
    are equal.

    Args:
        neighbours: Number of trained programs in a prediction.
    """

    def __init__(self, neighbours: int = 5) -> None:
        self.neighbours = neighbours
        self._shapes: Tensor | None = None
        self._remembered = RememberedRewards()

    def __len__(self) -> int:
        return len(self._remembered)

    def update(self, outcome: Outcome) -> None:
        """Add the programs of an outcome that have had a trial."""
        shapes = _shape(outcome.screened.gradient[outcome.trained])
        self._shapes = shapes if self._shapes is None else torch.cat([self._shapes, shapes])
        self._remembered = self._remembered.extended(outcome, outcome.trained)

    def revise(self, signature: Tensor, reward: Tensor, standard_error: Tensor | None = None) -> None:
        """Replace the rewards ``[count]`` of programs with gradient signatures ``[count]``."""
        self._remembered = self._remembered.revised(signature, reward, standard_error)

    def predict(self, gradient: Tensor) -> Tensor:
        """Return the predicted quantile of the reward ``[count]`` of programs with gradients ``[count, points]``."""
        assert self._shapes is not None
        quantile = self._remembered.reward.argsort().argsort().double() / max(1, len(self) - 1)
        distance = torch.cdist(_shape(gradient), self._shapes)
        nearest = distance.topk(min(self.neighbours, len(self)), largest=False)
        weight = self._precision()[nearest.indices] / (nearest.values + 1e-3) ** 2
        return (weight * quantile[nearest.indices]).sum(1) / weight.sum(1)

    def sample(
        self, screened: Screened, trainable: Tensor, count: int, guidance: float, generator: torch.Generator
    ) -> Tensor:
        """Sample programs without replacement, with a higher probability for a higher predicted reward.

        Args:
            screened: Screening results of programs.
            trainable: Indices of those to sample from, int64 ``[n]``.
            count: The number to sample; all if there are fewer.
            guidance: The logarithm of how much likelier the highest predicted quantile is than the lowest.
            generator: Source of randomness.

        Returns:
            Their indices.
        """
        logits = guidance * self.predict(screened.gradient[trainable])
        return trainable[(logits + gumbel(logits, generator)).argsort(descending=True)[:count]]

    def _precision(self) -> Tensor:
        """Return the weight of every reward by its noise, float64 ``[n]``; 1 for the median noise."""
        squared = self._remembered.standard_error.square()
        typical = squared.nanmedian()
        if typical.isnan():
            return torch.ones(len(self), dtype=torch.float64)
        rewards = self._remembered.reward
        rewards = rewards[rewards.isfinite()]
        low, high = rewards.quantile(rewards.new_tensor([0.25, 0.75])) if len(rewards) else rewards.new_zeros(2)
        between = torch.maximum(((high - low) / _QUARTILES).square() - typical, typical) + _LEAST_VARIANCE
        return (typical + between) / (torch.where(squared.isnan(), typical, squared) + between)

    def state_dict(self) -> dict[str, Any]:
        """Return the shapes and rewards of the programs."""
        return {"shapes": self._shapes, **self._remembered.state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state that :meth:`state_dict` returned."""
        self._shapes, self._remembered = state["shapes"], RememberedRewards.of_state(state)


def _shape(gradient: Tensor) -> Tensor:
    return gradient / gradient.abs().amax(1, keepdim=True).clamp_min(torch.finfo(gradient.dtype).tiny)
