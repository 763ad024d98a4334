"""Stacked copies of biased matrix factorisation, with closed-form gradients."""

import torch
import torch.nn.functional as F
from torch import Tensor

from datamodules.batches import Batch
from lightning_modules.populations.sparse_rows import row_sums
from lightning_modules.populations.stacked_model import Slopes, StackedModel, stacked
from lightning_modules.recommenders import BiasedMF


class StackedBiasedMF(StackedModel):
    """K copies of :class:`BiasedMF`.

    A user's vector is ``[p_u, b_u, 1]`` and an item's ``[q_i, 1, b_i]``, so that a logit is their product plus the
    global bias, which is the first element of the table's row 0. The ones are not trained.

    Args:
        recommender: The recommender to copy.
        count: Number of copies.
    """

    def __init__(self, recommender: BiasedMF, count: int) -> None:
        user, item = recommender.user_embedding.weight, recommender.item_embedding.weight
        one = torch.ones_like
        users = torch.cat([user, recommender.user_bias.weight, one(recommender.user_bias.weight)], dim=1)
        items = torch.cat([item, one(recommender.item_bias.weight), recommender.item_bias.weight], dim=1)
        bias = F.pad(recommender.global_bias.view(1, 1), (0, users.shape[1] - 1))
        rows = torch.cat([bias, users, items, torch.zeros_like(bias)]).detach()
        super().__init__(rows.unsqueeze(1).repeat(1, count, 1))
        self.num_users, self.dim = user.shape
        self.num_items = len(item)

    def rows(self, batch: Batch) -> Tensor:
        """Return the rows of the batch's users, of its items, and that of the global bias."""
        return torch.cat([batch.user + 1, batch.item + (self.num_users + 1), batch.user.new_zeros(1)])

    def logits(self, vectors: Tensor, index: Tensor) -> Tensor:
        """Return the logit of every row under every copy; see :class:`StackedModel`."""
        user, item = index[:-1].chunk(2)
        products = vectors.index_select(0, user).mul_(vectors.index_select(0, item))
        return products.sum(dim=-1).add_(vectors[0, :, 0])

    def gradients(self, vectors: Tensor, index: Tensor, slopes: Slopes) -> list[Tensor]:
        """Return the derivatives by ``vectors``: a user's is the sum of its items, each times the slope of its row."""
        slope = slopes(self.logits(vectors, index))
        reads = index[:-1]
        gradient = row_sums(vectors, reads, reads.roll(len(slope)), slope.repeat(2, 1))
        gradient[:, :, self.dim :].mul_(_is_bias(reads, len(vectors)))
        gradient[0, :, 0] = slope.sum(dim=0)
        return [gradient]

    def unstacked(self, vectors: Tensor, copy: int) -> dict[str, Tensor]:  # noqa: ARG002 (the copies are alike)
        """Return the state of one copy from its slice of the table."""
        bias, users, items, _ = vectors.split([1, self.num_users, self.num_items, 1])
        return {
            "global_bias": bias[0, 0],
            "user_embedding.weight": users[:, : self.dim],
            "item_embedding.weight": items[:, : self.dim],
            "user_bias.weight": users[:, self.dim : self.dim + 1],
            "item_bias.weight": items[:, self.dim + 1 :],
        }


def _is_bias(reads: Tensor, distinct: int) -> Tensor:
    """Return 1 for the one of a vector's last two elements that is the bias, else 0: float [distinct, 1, 2]."""
    users, items = marks = torch.zeros(2, distinct, device=reads.device)
    user, item = reads.chunk(2)
    users.index_fill_(0, user, 1.0)
    items.index_fill_(0, item, 1.0)
    return marks.T.unsqueeze(1)


stacked.register(BiasedMF, StackedBiasedMF)
