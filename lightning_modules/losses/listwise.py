"""Listwise losses that are a formula of the scores alone.

``s+`` is the score of a positive, ``s_j`` that of its negative ``j`` of ``N``, and ``t`` the temperature.
"""

from abc import abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor

from lightning_modules.losses.listwise_loss import ListwiseLoss
from lightning_modules.losses.loss_object import above_zero


class TermwiseLoss(ListwiseLoss):
    """A listwise loss that looks at the negatives through the mean of one term for each."""

    @abstractmethod
    def terms(self, positive: Tensor, negative: Tensor) -> Tensor:
        """Return the term of every negative: float [n], [n, N] -> [n, N]."""

    @abstractmethod
    def of_mean(self, positive: Tensor, mean: Tensor, count: int) -> Tensor:
        """Return the loss of every row from the mean of its ``count`` terms: float [n], [n] -> [n]."""

    def forward(self, positive: Tensor, negative: Tensor) -> Tensor:
        """Return the loss of every positive."""
        return self.of_mean(positive, self.terms(positive, negative).mean(dim=1), negative.shape[1])

    def weighted(self, positive: Tensor, negative: Tensor, log_weight: Tensor) -> Tensor:
        """Return the loss of every positive with the mean weighted."""
        mean = (log_weight.exp() * self.terms(positive, negative)).mean(dim=1)
        return self.of_mean(positive, mean, negative.shape[1])


class SampledBPR(TermwiseLoss):
    """Bayesian personalised ranking with any number of negatives: ``mean_j log(1 + exp((s_j - s+) / t))``.

    Rendle et al., UAI 2009, https://arxiv.org/abs/1205.2618, with one negative and ``t`` = 1. :class:`BPR` is the same
    of a pair's score difference.

    Args:
        temperature: The ``t``, > 0; 1 suits dot products, about 0.1 cosines.
    """

    def __init__(self, temperature: float = 1.0) -> None:
        super().__init__()
        self.temperature = above_zero("temperature", temperature)

    def terms(self, positive: Tensor, negative: Tensor) -> Tensor:
        """Return every pair's loss."""
        return F.softplus((negative - positive[:, None]) / self.temperature)

    def of_mean(self, positive: Tensor, mean: Tensor, count: int) -> Tensor:  # noqa: ARG002
        """Return the mean."""
        return mean


class SampledSoftmax(ListwiseLoss):
    """Sampled softmax (SL, SSM): ``log sum_j exp((s_j - s+) / t)``.

    Wu et al., On the Effectiveness of Sampled Softmax Loss for Item Recommendation, TOIS 2024,
    https://arxiv.org/abs/2201.02327. Published with cosines and ``t`` of 0.05 to 0.2. There the sum has the positive
    as well, which bounds the loss at 0 (``positive_in_sum``); IR-Benchmark's code, whose tables are cited most, leaves
    it out, so that rows whose positive is far ahead go on learning.

    Args:
        temperature: The ``t``, > 0.
        positive_in_sum: Add the positive's ``exp(0)`` to the sum.
    """

    def __init__(self, temperature: float = 0.1, positive_in_sum: bool = False) -> None:
        super().__init__()
        self.temperature = above_zero("temperature", temperature)
        self.positive_in_sum = positive_in_sum

    def forward(self, positive: Tensor, negative: Tensor) -> Tensor:
        """Return the loss of every positive."""
        # The positive is subtracted from the sum's logarithm: that saves a pass over the negatives.
        loss = torch.logsumexp(negative / self.temperature, dim=1) - positive / self.temperature
        return F.softplus(loss) if self.positive_in_sum else loss
