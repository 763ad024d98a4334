"""Talos: a top-K loss with quantiles that are learned beside the model."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lightning_modules.losses.loss_object import above_zero
from lightning_modules.losses.quantile_loss import QuantileLoss
from lightning_modules.losses.score_arithmetic import scaled_logsumexp
from lightning_modules.losses.scored_batch import ScoredBatch
from lightning_modules.utilities.processes import sum_over_processes

# Adam's usual settings.
_MEAN_DECAY, _SQUARE_DECAY, _EPSILON = 0.9, 0.999, 1e-8


class Talos(QuantileLoss):
    """Talos: ``log sum_j sigmoid(s_j - beta)^(1 / t) - log sigmoid(s+ - beta)^(1 / t)``.

    Zhang et al., Talos: Optimizing Top-K Accuracy in Recommender Systems, WWW 2026, https://arxiv.org/abs/2601.19276.
    Published with cosines, ``t`` of 0.05 to 0.3 and 1,024 negatives. ``beta`` is the score from which on items are
    among the user's top K of ``n``. It starts at 0, and Adam fits it in every step of the training to the quantile
    regression ::

        (1 - K / n) max(0, s - beta) + K / n max(0, beta - s)

    in the mean over the scores ``s`` of all items, where sampled negatives stand for all that the user does not have.
    What differs: the row's positive stands for all items that the user has. The published code scores them all in
    every step, which is the same in the mean over the user's rows.

    Args:
        k: The K, at least 1.
        temperature: The ``t``, > 0.
        quantile_learning_rate: Adam's learning rate for ``beta``, > 0.
    """

    _mean: Tensor
    _square: Tensor
    _positives: Tensor

    def __init__(self, k: int = 20, temperature: float = 0.15, quantile_learning_rate: float = 1e-3) -> None:
        super().__init__(k)
        self.temperature = above_zero("temperature", temperature)
        self.quantile_learning_rate = above_zero("quantile_learning_rate", quantile_learning_rate)
        self._steps = 0
        self._num_items = 0
        for name in ("_mean", "_square", "_positives"):
            self.register_buffer(name, torch.zeros(0), persistent=False)

    def of_quantile(self, positive: Tensor, negative: Tensor, quantile: Tensor, log_weight: Tensor | None) -> Tensor:
        """Return the loss of every positive."""
        log_sigma = F.logsigmoid(negative - quantile[:, None])
        corrected = log_sigma if log_weight is None else log_sigma + self.temperature * log_weight
        return scaled_logsumexp(corrected, self.temperature) - F.logsigmoid(positive - quantile) / self.temperature

    def of_batch(self, scored: ScoredBatch) -> Tensor:
        """Return the loss of every row, and, in training, fit the quantiles of its users afterwards."""
        loss = super().of_batch(scored)
        if self.training:
            self._fit(scored)
        return loss

    @torch.no_grad()
    def _fit(self, scored: ScoredBatch) -> None:
        slope = torch.zeros_like(self.quantile)
        # Unlike index_add_, it adds in one order on a GPU too.
        slope.index_put_((scored.user,), self._slope(scored).to(slope.dtype), accumulate=True)
        slope = sum_over_processes(slope)
        self._steps += 1
        self._mean.lerp_(slope, 1 - _MEAN_DECAY)
        self._square.lerp_(slope.square(), 1 - _SQUARE_DECAY)
        rate = self.quantile_learning_rate / (1 - _MEAN_DECAY**self._steps)
        root = self._square.sqrt() / math.sqrt(1 - _SQUARE_DECAY**self._steps)
        self.quantile -= rate * self._mean / (root + _EPSILON)

    def _slope(self, scored: ScoredBatch) -> Tensor:
        """Return the derivative of the regression's mean over the rows by each row's quantile, float [n]."""
        quantile, positives = self.quantile[scored.user], self._positives[scored.user]
        above = (scored.negative > quantile[:, None]).to(quantile.dtype)
        log_weight = scored.log_weight
        share = above.mean(dim=1) if log_weight is None else (log_weight.exp() * above).mean(dim=1)
        expected = positives * (scored.positive > quantile) + (self._num_items - positives) * share
        return (self.k - expected) / self._num_items / len(quantile)

    def prepare(self, user: Tensor, item: Tensor, num_users: int, num_items: int) -> None:
        """Begin with a quantile of 0 for every user, and count the users' items."""
        super().prepare(user, item, num_users, num_items)
        self._positives = torch.bincount(user, minlength=num_users).to(self.quantile.dtype)
        self._mean, self._square = torch.zeros_like(self.quantile), torch.zeros_like(self.quantile)
        self._steps, self._num_items = 0, num_items

    def training_state(self) -> dict[str, Any]:
        """Return the quantiles and the state of their optimizer."""
        optimizer = {"mean": self._mean.clone(), "square": self._square.clone(), "steps": self._steps}
        return {**super().training_state(), **optimizer}

    def load_training_state(self, state: dict[str, Any]) -> None:
        """Go on with stored quantiles.

        Raises:
            ValueError: If they are those of other users or of another loss.
        """
        super().load_training_state(state)
        if missing := sorted({"mean", "square", "steps"} - state.keys()):
            raise ValueError(
                f"{self.title} goes on from the state of the optimizer of its quantiles, and the checkpoint has no "
                f"{missing[0]}: it is of another loss; start a new training, or take the weights alone"
            )
        device = self.quantile.device
        self._mean, self._square = state["mean"].to(device), state["square"].to(device)
        self._steps = state["steps"]
