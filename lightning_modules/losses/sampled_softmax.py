"""Sampled softmax and its relatives: logarithms of a sum over the negatives.

``s+`` is the score of a positive, ``s_j`` that of its negative ``j`` of ``N``, and ``t`` the temperature.
"""

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from lightning_modules.losses.listwise_loss import ListwiseLoss
from lightning_modules.losses.loss_object import above_zero
from lightning_modules.losses.score_arithmetic import scaled_difference, scaled_logsumexp
from lightning_modules.losses.scored_batch import ScoredBatch, SharedBatch

Activation = Literal["tanh", "relu", "atan"]

#: Activations are 0 or less far to the left, where logarithms have no value.
_LEAST = 1e-6
#: ``log(1 + tanh(d))`` without cancellation, and the logarithms of the other two.
_LOG_ACTIVATION: Mapping[Activation, Callable[[Tensor], Tensor]] = {
    "tanh": lambda difference: math.log(2) + F.logsigmoid(2 * difference),
    "relu": lambda difference: (1 + difference).clamp(min=_LEAST).log(),
    "atan": lambda difference: (1 + difference.atan()).clamp(min=_LEAST).log(),
}


class LogSumLoss(ListwiseLoss):
    """A listwise loss that looks at the negatives through ``log sum_j exp(s_j / t)`` alone."""

    @abstractmethod
    def of_log_sum(self, positive: Tensor, log_sum: Tensor) -> Tensor:
        """Return the loss of every positive from the logarithm of the sum over its negatives: float [n], [n] -> [n]."""

    def forward(self, positive: Tensor, negative: Tensor) -> Tensor:
        """Return the loss of every positive."""
        return self.of_log_sum(positive, scaled_logsumexp(negative, self.temperature))

    def of_shared(self, batch: SharedBatch) -> Tensor:
        """Return the loss of every row of a batch that shares its negatives, without keeping their scores."""
        if not batch.log_sum_is_quick:
            return super().of_shared(batch)
        return self.of_log_sum(batch.positive, batch.log_sum(self.temperature))


class SampledSoftmax(LogSumLoss):
    """Sampled softmax (SL, SSM): ``log sum_j exp((s_j - s+) / t)``.

    Wu et al., On the Effectiveness of Sampled Softmax Loss for Item Recommendation, TOIS 2024,
    https://arxiv.org/abs/2201.02327, where the sum has the positive as well (``positive_in_sum``), so that a row whose
    positive is far ahead has no gradient. IR-Benchmark's code leaves it out. Published with cosines and ``t`` of 0.05
    to 0.2.

    Args:
        temperature: The ``t``, > 0.
        positive_in_sum: Add the positive's ``exp(0)`` to the sum.
    """

    def __init__(self, temperature: float = 0.1, positive_in_sum: bool = False) -> None:
        super().__init__()
        self.temperature = above_zero("temperature", temperature)
        self.positive_in_sum = positive_in_sum

    def of_log_sum(self, positive: Tensor, log_sum: Tensor) -> Tensor:
        """Return the loss of every positive."""
        # The positive is subtracted from the sum's logarithm, which saves a pass over the negatives.
        loss = log_sum - positive / self.temperature
        return F.softplus(loss) if self.positive_in_sum else loss


class BSL(LogSumLoss):
    """Bilateral softmax: ``-s+ / t1 + w log sum_j exp(s_j / t)`` with ``w = t / t1``.

    Wu et al., BSL: Understanding and Improving Softmax Loss for Recommendation, ICDE 2024,
    https://arxiv.org/abs/2312.12882. With ``w = t / t1``, as in IR-Benchmark's code, and one positive a row, ``t1``
    scales the loss and nothing else: its gradient points where that of :class:`SampledSoftmax` does. The authors' code
    has one temperature, 0.08 on Gowalla and 0.11 on Yelp, and sets ``w`` itself, 1.06 to 1.32 (``negative_weight``);
    in its mode "multi" ``exp(s+ / t1)`` is averaged over the positives of one user in the batch (``pool_positives``).

    Args:
        temperature: The ``t`` of the negatives, > 0.
        positive_temperature: The ``t1`` of the positive, > 0.
        negative_weight: The ``w``, > 0; None is ``t / t1``.
        pool_positives: Let all positives of a user in the batch share their mean.
    """

    def __init__(
        self,
        temperature: float = 0.1,
        positive_temperature: float = 0.2,
        negative_weight: float | None = None,
        pool_positives: bool = False,
    ) -> None:
        super().__init__()
        self.temperature = above_zero("temperature", temperature)
        self.positive_temperature = above_zero("positive_temperature", positive_temperature)
        self.negative_weight = None if negative_weight is None else above_zero("negative_weight", negative_weight)
        self.pool_positives = pool_positives

    def of_log_sum(self, positive: Tensor, log_sum: Tensor) -> Tensor:
        """Return the loss of every positive, each on its own."""
        own = self.negative_weight
        weight = self.temperature / self.positive_temperature if own is None else own
        return weight * log_sum - positive / self.positive_temperature

    def of_batch(self, scored: ScoredBatch) -> Tensor:
        """Return the loss of every row, with the positives of one user pooled where that is wanted."""
        return super().of_batch(scored._replace(positive=self._pooled(scored)))

    def of_shared(self, batch: SharedBatch) -> Tensor:
        """Return the loss of every row, with the positives of one user pooled where that is wanted."""
        if not batch.log_sum_is_quick:
            return ListwiseLoss.of_shared(self, batch)
        return super().of_shared(batch._replace(positive=self._pooled(batch)))

    def _pooled(self, batch: ScoredBatch | SharedBatch) -> Tensor:
        if not self.pool_positives:
            return batch.positive
        return self.positive_temperature * _log_mean_exp(batch.positive / self.positive_temperature, batch.user)


def _log_mean_exp(value: Tensor, user: Tensor) -> Tensor:
    """Return for every row the logarithm of the mean of ``exp(value)`` over the rows of its user, [n], [n] -> [n]."""
    ordered, order = user.sort(stable=True)
    group = torch.empty_like(order)
    group[order] = torch.diff(ordered, prepend=ordered[:1]).sign().cumsum(0)
    highest = value.detach().scatter_reduce(0, group, value.detach(), "amax", include_self=False)[group]
    zeros = torch.zeros_like(value)
    total = zeros.index_put((group,), (value - highest).exp(), accumulate=True)
    count = zeros.index_put((group,), torch.ones_like(value), accumulate=True)
    return (total[group] / count[group]).log() + highest


class PSL(ListwiseLoss):
    """Pairwise softmax: ``log sum_j sigma(d_j)^(1 / t)`` of the differences ``d_j = scale (s_j - s+)``.

    Yang et al., PSL: Rethinking and Improving Softmax Loss from Pairwise Perspective for Recommendation, NeurIPS 2024,
    https://arxiv.org/abs/2411.00163. ``sigma(d)`` is ``1 + tanh d``, ``max(0, 1 + d)`` or ``1 + atan d`` where sampled
    softmax has ``exp d``. Published with half the cosine, so that ``d`` lies in [-1, 1], and ``t`` of 0.005 to 0.25,
    which compares with half that of sampled softmax. The temperature stands outside: with ``sigma(d / t)`` published
    results are 10 to 50 % worse.

    Published code takes the logarithm of 0 where ``relu`` or ``atan`` reach it; here ``sigma`` is at least 1e-6.

    Args:
        activation: The ``sigma``.
        temperature: The ``t``, > 0.
        scale: Factor of the differences, > 0; 0.5 suits cosines.
    """

    def __init__(self, activation: Activation = "relu", temperature: float = 0.05, scale: float = 0.5) -> None:
        super().__init__()
        if activation not in get_args(Activation):
            raise ValueError(f"activation must be one of {', '.join(get_args(Activation))}, got {activation!r}")
        self.activation: Activation = activation
        self.temperature = above_zero("temperature", temperature)
        self.scale = above_zero("scale", scale)

    def forward(self, positive: Tensor, negative: Tensor) -> Tensor:
        """Return the loss of every positive."""
        return scaled_logsumexp(self._log_sigma(positive, negative), self.temperature)

    def weighted(self, positive: Tensor, negative: Tensor, log_weight: Tensor) -> Tensor:
        """Return the loss of every positive with the sum weighted."""
        log_sigma = self._log_sigma(positive, negative)
        return scaled_logsumexp(log_sigma + self.temperature * log_weight, self.temperature)

    def _log_sigma(self, positive: Tensor, negative: Tensor) -> Tensor:
        return _LOG_ACTIVATION[self.activation](scaled_difference(positive, negative, self.scale))
