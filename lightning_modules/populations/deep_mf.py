"""Stacked copies of deep matrix factorisation."""

import torch
from torch import Tensor, nn

from datamodules.batches import Batch
from lightning_modules.populations.stacked_layers import stacked_layer
from lightning_modules.populations.stacked_model import StackedModel, stacked
from lightning_modules.recommenders import DeepMF


class StackedDeepMF(StackedModel):
    """K copies of :class:`DeepMF`.

    The rows of the table are the users, then the items.

    Args:
        recommender: The recommender to copy.
        count: Number of copies.
    """

    def __init__(self, recommender: DeepMF, count: int) -> None:
        users, items = recommender.user_embedding.weight.detach(), recommender.item_embedding.weight.detach()
        rows = torch.cat([users, items, torch.zeros_like(users[:1])])
        super().__init__(rows.unsqueeze(1).repeat(1, count, 1))
        self.num_users, self.num_items = len(users), len(items)
        self.mlp = nn.Sequential(*(stacked_layer(layer, count) for layer in recommender.mlp))

    def rows(self, batch: Batch) -> Tensor:
        """Return the rows of the batch's users and of its items."""
        return torch.cat([batch.user, batch.item + self.num_users])

    def logits(self, vectors: Tensor, index: Tensor) -> Tensor:
        """Return the logit of every row under every copy; see :class:`StackedModel`."""
        users, items = vectors.index_select(0, index).chunk(2)
        logits: Tensor = self.mlp(torch.cat([users, items], dim=-1))
        return logits.squeeze(-1)

    def unstacked(self, vectors: Tensor, copy: int) -> dict[str, Tensor]:
        """Return the state of one copy from its slices of the table and of the layers."""
        users, items, _ = vectors.split([self.num_users, self.num_items, 1])
        layers = {f"mlp.{name}": value[copy] for name, value in self.mlp.state_dict().items()}
        return {"user_embedding.weight": users, "item_embedding.weight": items, **layers}


stacked.register(DeepMF, StackedDeepMF)
