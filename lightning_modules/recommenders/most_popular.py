"""The most popular items for everybody."""

from collections.abc import Sequence

import torch
from torch import nn

from datamodules.implicit.user_items import UserItems
from lightning_modules.core.inference import InferenceGraph
from lightning_modules.losses.listwise_loss import Scorer
from lightning_modules.recommenders.closed_form import ClosedFormRecommender
from lightning_modules.recommenders.inference import ConstantGraph


class MostPopular(ClosedFormRecommender):
    """A reference line: the score of an item is the number of its training users, the same for every user.

    Args:
        num_users: Number of users.
        num_items: Number of items.
        cutoffs: Lengths of the recommendations that are measured.
    """

    def __init__(self, num_users: int, num_items: int, *, cutoffs: Sequence[int] = (5, 10, 20)) -> None:
        super().__init__(num_users, num_items, cutoffs=cutoffs)
        self.popularity = nn.Parameter(torch.zeros(num_items), requires_grad=False)

    def solve(self, items: UserItems) -> None:
        """Count the users of every item."""
        self.popularity.copy_(torch.bincount(items.item, minlength=self.num_items))

    def scorer(self) -> Scorer:
        """Return what gives every user the same scores."""
        return lambda user: self.popularity.repeat(len(user), 1)

    def inference_graph(self) -> InferenceGraph:
        """Return what gives every user the same scores."""
        return ConstantGraph(self.popularity)
