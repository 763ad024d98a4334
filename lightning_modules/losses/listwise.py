"""Listwise losses with one term for every negative.

``s+`` is the score of a positive, ``s_j`` that of its negative ``j`` of ``N``, and ``t`` the temperature.
"""

from abc import abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor

from lightning_modules.losses.listwise_loss import ListwiseLoss
from lightning_modules.losses.loss_object import above_zero
from lightning_modules.losses.score_arithmetic import scaled_difference


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

    Rendle et al., UAI 2009, https://arxiv.org/abs/1205.2618, where there is one negative and no temperature. In
    :class:`BPR` a model gives the difference of a pair instead.

    Args:
        temperature: The ``t``, > 0; 1 suits dot products, about 0.1 cosines.
    """

    def __init__(self, temperature: float = 1.0) -> None:
        super().__init__()
        self.temperature = above_zero("temperature", temperature)

    def terms(self, positive: Tensor, negative: Tensor) -> Tensor:
        """Return every pair's loss."""
        return F.softplus(scaled_difference(positive, negative, 1 / self.temperature))

    def of_mean(self, positive: Tensor, mean: Tensor, count: int) -> Tensor:  # noqa: ARG002
        """Return the mean."""
        return mean


class SampledBCE(TermwiseLoss):
    """Binary cross-entropy with negatives: ``log(1 + exp(-s+ / t)) + sum_j log(1 + exp(s_j / t))``.

    Published with ``t`` = 1. Code that weighs the positive by ``N``, such as IR-Benchmark's for GuidedRec, computes
    ``N`` times the loss with ``average``.

    Args:
        temperature: The ``t``, > 0; 1 suits dot products, about 0.1 cosines.
        average: Take the mean over the negatives in place of the sum, so that all of them weigh as much as the
            positive.
    """

    def __init__(self, temperature: float = 1.0, average: bool = False) -> None:
        super().__init__()
        self.temperature = above_zero("temperature", temperature)
        self.average = average

    def terms(self, positive: Tensor, negative: Tensor) -> Tensor:  # noqa: ARG002
        """Return every negative's loss."""
        return F.softplus(negative / self.temperature)

    def of_mean(self, positive: Tensor, mean: Tensor, count: int) -> Tensor:
        """Return the loss of the positive and the negatives."""
        return F.softplus(-positive / self.temperature) + (mean if self.average else count * mean)


class CCL(TermwiseLoss):
    """Cosine contrastive loss: ``(1 - s+) + w / N sum_j max(0, s_j - m)``.

    Mao et al., SimpleX, CIKM 2021, https://arxiv.org/abs/2109.12613, with cosines as scores. Published with ``m`` 0.9
    and ``w`` 150 on Gowalla and Yelp, 0.7 and 50 on AmazonCDs, 0.9 and 10 on MovieLens-1M, 0.8 and 4 on Electronics,
    and 800 to 2,000 negatives.

    Args:
        margin: The ``m``, the cosine below which a negative is let alone, in [-1, 1).
        weight: The ``w``, > 0.
    """

    def __init__(self, margin: float = 0.9, weight: float = 150.0) -> None:
        super().__init__()
        if not -1 <= margin < 1:
            raise ValueError(f"margin is a cosine that negatives may have without a loss, in [-1, 1), got {margin}")
        self.margin = margin
        self.weight = above_zero("weight", weight)

    def terms(self, positive: Tensor, negative: Tensor) -> Tensor:  # noqa: ARG002
        """Return by how much every negative exceeds the margin."""
        return F.relu(negative - self.margin)

    def of_mean(self, positive: Tensor, mean: Tensor, count: int) -> Tensor:  # noqa: ARG002
        """Return the loss of the positive and the weighted one of the negatives."""
        return 1 - positive + self.weight * mean


class SampledWARP(TermwiseLoss):
    """WARP over given negatives: ``log(1 + sum_j max(0, margin + (s_j - s+) / t))``.

    After Weston et al., WSABIE, IJCAI 2011, where negatives are drawn until one comes within the margin, and the
    logarithm is of the rank that the number of draws lets expect. Here the sum of hinges bounds the rank among the
    negatives: no loop, and all that come within the margin are learned from.

    Args:
        margin: By how much a positive is to be ahead in units of the temperature, > 0.
        temperature: The ``t``, > 0; 1 suits dot products, about 0.1 cosines.
    """

    def __init__(self, margin: float = 1.0, temperature: float = 0.1) -> None:
        super().__init__()
        self.margin = above_zero("margin", margin)
        self.temperature = above_zero("temperature", temperature)

    def terms(self, positive: Tensor, negative: Tensor) -> Tensor:
        """Return by how much every negative comes within the margin."""
        return F.relu(self.margin + scaled_difference(positive, negative, 1 / self.temperature))

    def of_mean(self, positive: Tensor, mean: Tensor, count: int) -> Tensor:  # noqa: ARG002
        """Return the logarithm of the rank's bound."""
        return torch.log1p(count * mean)
