"""A scorer trained on pairs of items."""

from typing import ClassVar

import torch
from torch import Tensor

from datamodules.batches import PairBatch
from lightning_modules.losses import Loss, Prediction, RankNetLoss
from lightning_modules.recommenders.deep_mf import DeepMF


class RankNet(DeepMF):
    """The deep scorer, trained on which of two items a user prefers.

    Burges et al., "Learning to Rank using Gradient Descent", ICML 2005 (https://doi.org/10.1145/1102351.1102363):
    ``P(i preferred to j | u) = sigmoid(s(u, i) - s(u, j))``, where ``s`` is :class:`DeepMF`, whose arguments it takes.
    Inputs and outputs are those of :class:`DeepMF`. Only differences of one user's scores are learned, so ``auc`` over
    all users, which also compares scores of different users, stays below that of pointwise training, and log-loss and
    thresholded metrics say little. The label of a pair is 1, the first item being preferred; the paper knows ties too.
    """

    trains_on_pairs: ClassVar[bool] = True
    gives: ClassVar[Prediction] = "difference"
    default_loss: ClassVar[type[Loss]] = RankNetLoss

    def sample_loss(self, batch: PairBatch) -> Tensor:
        """Return the loss of every pair, shape [n]."""
        # One pass for both items: normalised apart, positives and negatives would lose the difference of their means.
        users = torch.cat([batch.user, batch.user])
        scores = self(users, torch.cat([batch.positive_item, batch.negative_item]))
        first, second = scores.chunk(2)
        return self.loss.from_logit(first - second, torch.ones_like(first))
