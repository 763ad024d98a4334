"""EASE: a linear model of items on items."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding_bag

from datamodules.implicit.user_items import UserItems
from lightning_modules.core.inference import InferenceGraph
from lightning_modules.losses.listwise_loss import Scorer
from lightning_modules.recommenders.closed_form import ClosedFormRecommender
from lightning_modules.recommenders.inference import HistoryGraph


class EASE(ClosedFormRecommender):
    """Ridge regression of every item on the others, in closed form.

    Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019 (https://arxiv.org/abs/1905.03375): with the
    matrix ``X`` of users and items, which is 1 where a user has an item, ``P = (X^T X + l2 I)^(-1)`` and the weights
    ``B_ij = -P_ij / P_jj``, ``B_jj = 0``; the scores of a user are ``x_u B``. One epoch is enough. The weights take
    ``4 num_items^2`` bytes, and three times that while they are found.

    Args:
        num_users: Number of users.
        num_items: Number of items.
        l2: Strength of the regularisation, > 0.
        cutoffs: Lengths of the recommendations that are measured.

    Raises:
        ValueError: If ``l2`` is not positive.
    """

    def __init__(
        self, num_users: int, num_items: int, *, l2: float = 200.0, cutoffs: Sequence[int] = (5, 10, 20)
    ) -> None:
        super().__init__(num_users, num_items, cutoffs=cutoffs)
        if not l2 > 0:
            raise ValueError(f"l2 keeps the matrix of the items' pairs invertible and must be positive, got {l2}")
        self.l2 = l2
        self.weight = nn.Parameter(torch.zeros(num_items, num_items), requires_grad=False)

    def solve(self, items: UserItems) -> None:
        """Find the weights."""
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(self._regularised_pairs(items)))
        self.weight.copy_(inverse.div_(-inverse.diagonal()).fill_diagonal_(0))

    def _regularised_pairs(self, items: UserItems) -> Tensor:
        """Return how many users have both items, with ``l2`` added to the diagonal, float [num_items, num_items]."""
        places, size = torch.stack([items.user, items.item]), (self.num_users, self.num_items)
        ones = self.weight.new_ones(places.shape[1])
        taken = torch.sparse_coo_tensor(places, ones, size, check_invariants=True)
        pairs: Tensor = torch.sparse.mm(taken.T, taken).to_dense()
        pairs.diagonal().add_(self.l2)
        return pairs

    def scorer(self) -> Scorer:
        """Return what adds up the weights of the items that a user has in training."""
        items = self.training_items()

        def scores(user: Tensor) -> Tensor:
            _, item = items.pairs_of(user)
            count = items.count[user]
            return embedding_bag(item, self.weight, count.cumsum(0) - count, mode="sum")

        return scores

    def inference_graph(self) -> InferenceGraph:
        """Return what adds up the weights of the items that a user has, who need not be one of the training."""
        return HistoryGraph(self.weight)
