"""Biased matrix factorisation."""

from typing import Any

import torch
from torch import Tensor, nn

from lightning_modules.recommenders.base import Recommender, normal_embedding


class BiasedMF(Recommender):
    """Matrix factorisation with user, item and global biases.

    Koren, Bell and Volinsky, "Matrix Factorization Techniques for Recommender Systems", IEEE Computer 42(8), 2009
    (https://doi.org/10.1109/MC.2009.263): ``logit(u, i) = p_u . q_i + b_u + b_i + b``, for ``user`` and ``item``
    int64 [n] a logit float [n]. Labels are 0 and 1 instead of ratings, so the score is the logit of a probability.

    Args:
        num_users: Number of user indices, that of unknown users included.
        num_items: Number of item indices, that of unknown items included.
        embedding_dim: Size of user and item embeddings.
        init_std: Standard deviation of the initial embeddings; biases start at 0. The code published with
            AutoLossGen starts from 1, where products of random embeddings drown the labels for many epochs.
        init_bias: Initial global bias, trained like the others.
        options: The other arguments of :class:`Recommender`.
    """

    def __init__(
        self,
        num_users: int,
        num_items: int,
        *,
        embedding_dim: int = 64,
        init_std: float = 0.01,
        init_bias: float = 0.1,
        **options: Any,
    ) -> None:
        super().__init__(num_users, num_items, **options)
        self.user_embedding = normal_embedding(num_users, embedding_dim, std=init_std)
        self.item_embedding = normal_embedding(num_items, embedding_dim, std=init_std)
        self.user_bias = normal_embedding(num_users, 1, std=0.0)
        self.item_bias = normal_embedding(num_items, 1, std=0.0)
        self.global_bias = nn.Parameter(torch.tensor(init_bias))

    def forward(self, user: Tensor, item: Tensor) -> Tensor:
        """Return the logit of every row: ``user``, ``item`` int64 [n] -> float [n]."""
        interaction: Tensor = (self.user_embedding(user) * self.item_embedding(item)).sum(dim=-1)
        bias: Tensor = self.user_bias(user) + self.item_bias(item)
        return interaction + bias.squeeze(-1) + self.global_bias

    def catalogue_logits(self, user: Tensor) -> Tensor:
        """Return the logits of all items for some users, int64 [n] -> float [n, num_items], out of one product."""
        bias = self.user_bias(user) + self.item_bias.weight.T + self.global_bias
        return torch.addmm(bias, self.user_embedding(user), self.item_embedding.weight.T)
