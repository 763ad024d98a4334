"""DirectAU: alignment of users with their items, and uniformity of both on the sphere."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from lightning_modules.losses.listwise_loss import BatchLoss
from lightning_modules.losses.loss_object import above_zero
from lightning_modules.losses.scored_batch import ScoredBatch, SharedBatch


class DirectAU(BatchLoss):
    """DirectAU: ``|u - i|^2 + gamma / 2 (uniformity of users + uniformity of items)`` of normalised vectors.

    Wang et al., Towards Representation Alignment and Uniformity in Collaborative Filtering, KDD 2022,
    https://arxiv.org/abs/2206.12811. Uniformity is ``log mean exp(-2 |u - u'|^2)`` over all pairs of rows of the batch.
    Negatives are not looked at. Published with ``gamma`` 0.5 on Beauty, 5 on Gowalla and 1 on Yelp, batches of 256 to
    1,024 and a weight decay of 1e-6. Vectors are normalised here too, so that models of dot products may train on it.

    Args:
        gamma: Weight of uniformity, > 0.
    """

    def __init__(self, gamma: float = 1.0) -> None:
        super().__init__()
        self.gamma = above_zero("gamma", gamma)

    def of_batch(self, scored: ScoredBatch) -> Tensor:
        """Return the alignment of every row plus the uniformity of all, float [n]."""
        return self._of_vectors(scored.user_vector, scored.item_vector)

    def of_shared(self, batch: SharedBatch) -> Tensor:
        """Return the same without scoring negatives, float [n]."""
        return self._of_vectors(batch.user_vector, batch.item_vector)

    def _of_vectors(self, user: Tensor, item: Tensor) -> Tensor:
        user, item = F.normalize(user, dim=1), F.normalize(item, dim=1)
        alignment = (user - item).square().sum(dim=1)
        return alignment + self.gamma / 2 * (_uniformity(user) + _uniformity(item))


def _uniformity(vector: Tensor) -> Tensor:
    """Return ``log mean exp(-2 |v - v'|^2)`` over the pairs of rows, float [n, d] -> []; 0 where there is no pair."""
    count = len(vector)
    if count < 2:
        return vector.new_zeros(())
    # The squared distance of vectors of length 1 is 2 - 2 v . v'.
    power = (4 * (vector @ vector.T) - 4).exp()
    others = power.masked_fill(torch.eye(count, dtype=torch.bool, device=vector.device), 0)
    return others.sum().log() - math.log(count * (count - 1))
