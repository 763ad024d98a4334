"""SL@K: sampled softmax that weighs positives by whether they are among a user's top K."""

import torch
from torch import Tensor

from lightning_modules.losses.loss_object import above_zero
from lightning_modules.losses.renewed_quantiles import RenewedQuantileLoss
from lightning_modules.losses.score_arithmetic import scaled_logsumexp
from lightning_modules.losses.scored_batch import SharedBatch


class SLatK(RenewedQuantileLoss):
    """SL@K: ``w log sum_j exp((s_j - s+) / t)`` with the weight ``w = sigmoid((s+ - beta) / t_w)``.

    Yang et al., Breaking the Top-K Barrier: Advancing Top-K Ranking Metrics Optimization in Recommender Systems, KDD
    2025, https://arxiv.org/abs/2508.05673. ``beta`` is the K-th largest score among the user's positives and sampled
    items. Published with cosines, ``t`` of 0.1 to 0.2, ``t_w`` of 0.5 to 3, and K of 5 to 100, which hardly matters.

    Like the published code, this trains through the weight as well, which brakes the pull on positives
    (``detach_weight``). What differs: quantiles are renewed for all users at once at the beginning of an epoch, the
    first included, from all of the user's positives. The published code starts from 0, renews them batch by batch
    during every 5th or 20th epoch from the negatives of the batch, and cuts the positives of the tenth of the users
    that have most. It trains with a tenth of the learning rate that it is given.

    Args:
        k: The K, at least 1.
        temperature: The ``t``, > 0.
        weight_temperature: The ``t_w``, > 0.
        renewal: Epochs between renewals of the quantiles, at least 1.
        samples: Items drawn with replacement for each user's quantile, at least ``k``; all items are taken where there
            are no more.
        detach_weight: Send no gradient through the weight.
    """

    def __init__(
        self,
        k: int = 20,
        temperature: float = 0.1,
        weight_temperature: float = 2.0,
        renewal: int = 5,
        samples: int = 1000,
        detach_weight: bool = False,
    ) -> None:
        super().__init__(k, renewal, samples)
        self.temperature = above_zero("temperature", temperature)
        self.weight_temperature = above_zero("weight_temperature", weight_temperature)
        self.detach_weight = detach_weight

    def of_quantile(self, positive: Tensor, negative: Tensor, quantile: Tensor, log_weight: Tensor | None) -> Tensor:
        """Return the weighted softmax loss of every positive."""
        corrected = negative if log_weight is None else negative + self.temperature * log_weight
        return self._of_log_sum(positive, scaled_logsumexp(corrected, self.temperature), quantile)

    def of_shared(self, batch: SharedBatch) -> Tensor:
        """Return the loss of every row of a batch that shares its negatives, without keeping their scores."""
        if not batch.log_sum_is_quick:
            return super().of_shared(batch)
        return self._of_log_sum(batch.positive, batch.log_sum(self.temperature), self.quantiles(batch))

    def _of_log_sum(self, positive: Tensor, log_sum: Tensor, quantile: Tensor) -> Tensor:
        weight = torch.sigmoid((positive - quantile) / self.weight_temperature)
        return (weight.detach() if self.detach_weight else weight) * (log_sum - positive / self.temperature)
