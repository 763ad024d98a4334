"""Uniform draws of one negative item a user, without loops and without rejection."""

import torch
from torch import Tensor

from datamodules.batches import Batch


class DislikedItems:
    """The items of a user's rows with label 0, as often as they occur."""

    def __init__(self, rows: Batch) -> None:
        user, item = (column[rows.label == 0] for column in (rows.user, rows.item))
        self.count = torch.bincount(user, minlength=_num_users(rows))
        self._first = self.count.cumsum(0) - self.count
        # One more element lets the users without rows point behind the last one.
        self._item = torch.cat([item[user.argsort(stable=True)], item.new_zeros(1)])

    def draw(self, user: Tensor, uniform: Tensor) -> Tensor:
        """Return an item, int64 [n], for every user [n] from a number in [0, 1), float64 [n]; 0 for a count of 0."""
        return self._item[self._first[user] + _index_below(self.count[user], uniform)]


class UntakenItems:
    """The known items that a user has no row with label 1 for."""

    def __init__(self, rows: Batch, num_items: int) -> None:
        known = num_items - 1
        user, item = (column[rows.label > 0] for column in (rows.user, rows.item))
        taken = torch.unique(user * known + (item - 1))
        owner = taken // known
        taken_count = torch.bincount(owner, minlength=_num_users(rows))
        self.count = known - taken_count
        self._first = taken_count.cumsum(0) - taken_count
        # A user's j-th taken item q has q - j untaken ones before it: the r-th untaken item lies behind the taken
        # items of which that number is at most r, and is found by one search over all users.
        self._stride = known + 1
        untaken_before = taken % known - (torch.arange(len(taken)) - self._first[owner])
        self._search_key = owner * self._stride + untaken_before

    def draw(self, user: Tensor, uniform: Tensor) -> Tensor:
        """Return an item, int64 [n], for every user [n] from a number in [0, 1), float64 [n]; any for a count of 0."""
        place = _index_below(self.count[user], uniform)
        taken_before = torch.searchsorted(self._search_key, user * self._stride + place, right=True) - self._first[user]
        return place + taken_before + 1


def _num_users(rows: Batch) -> int:
    return int(rows.user.max()) + 1


def _index_below(count: Tensor, uniform: Tensor) -> Tensor:
    # The product can round up to the count itself.
    return torch.minimum((uniform * count).long(), count - 1).clamp(min=0)
