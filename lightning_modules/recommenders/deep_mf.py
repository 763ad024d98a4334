"""A deep scorer over user and item embeddings."""

from collections.abc import Sequence
from itertools import islice
from typing import Any, cast

import torch
from torch import Tensor, nn

from lightning_modules.layers import MLP
from lightning_modules.layers.mlp import without_bias_gradient
from lightning_modules.recommenders.base import PAIRS, Recommender, normal_embedding


class DeepMF(Recommender):
    """A multilayer perceptron on top of user and item embeddings.

    The deep model of AutoLossGen (Li et al., SIGIR 2022, https://arxiv.org/abs/2204.13160), after neural collaborative
    filtering (He et al., WWW 2017, https://arxiv.org/abs/1708.05031): ``logit(u, i) = MLP([p_u, q_i])``, for ``user``
    and ``item`` int64 [n] a logit float [n]. Hidden layers are Linear, BatchNorm, ReLU, dropout.

    Args:
        num_users: Number of user indices, that of unknown users included.
        num_items: Number of item indices, that of unknown items included.
        embedding_dim: Size of user and item embeddings.
        hidden_features: Size of every hidden layer, first to last; a Linear layer to the logit follows.
        dropout: Share of hidden units that are dropped in training.
        batch_norm: Whether hidden layers are normalised over the batch.
        init_std: Standard deviation of the initial embeddings.
        options: The other arguments of :class:`Recommender`.
    """

    def __init__(
        self,
        num_users: int,
        num_items: int,
        *,
        embedding_dim: int = 64,
        hidden_features: Sequence[int] = (64, 16),
        dropout: float = 0.2,
        batch_norm: bool = True,
        init_std: float = 0.01,
        **options: Any,
    ) -> None:
        super().__init__(num_users, num_items, **options)
        self.user_embedding = normal_embedding(num_users, embedding_dim, std=init_std)
        self.item_embedding = normal_embedding(num_items, embedding_dim, std=init_std)
        self.mlp = MLP(2 * embedding_dim, hidden_features, dropout=dropout, batch_norm=batch_norm, output_features=1)
        if self.trains_on_pairs:
            # What is added to all scores cancels out of their differences.
            without_bias_gradient(cast(nn.Linear, self.mlp[-1]))

    def forward(self, user: Tensor, item: Tensor) -> Tensor:
        """Return the logit of every row: ``user``, ``item`` int64 [n] -> float [n]."""
        embeddings = torch.cat([self.user_embedding(user), self.item_embedding(item)], dim=-1)
        logit: Tensor = self.mlp(embeddings)
        return logit.squeeze(-1)

    def catalogue_logits(self, user: Tensor) -> Tensor:
        """Return the logits of all items for some users, int64 [n] -> float [n, num_items].

        What the first layer makes of a user or an item it makes once, and not for every pair.
        """
        first, rest = cast(nn.Linear, self.mlp[0]), nn.Sequential(*islice(self.mlp, 1, None))
        of_users, of_items = first.weight.split(self.user_embedding.embedding_dim, dim=1)
        users = self.user_embedding(user) @ of_users.T
        items = torch.addmm(first.bias, self.item_embedding.weight, of_items.T)
        blocks = users.split(max(1, PAIRS // self.num_items))
        logits = [rest((block.unsqueeze(1) + items).flatten(0, 1)) for block in blocks]
        return torch.cat(logits).view(len(user), self.num_items)
