"""Which items every user has, as compressed sparse rows on one device."""

from functools import cached_property

import torch
from torch import Tensor

from lightning_modules.utilities.compiled import is_available


def ranges(first: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """Return the elements of ranges, one range after another.

    Args:
        first: First element of every range, int64 [b].
        count: Number of its elements, int64 [b].

    Returns:
        The place of each element's range in ``first``, and the element; int64, as many as ``count`` says in all.
    """
    owner = torch.arange(len(count), device=count.device).repeat_interleave(count)
    offset = first - (count.cumsum(0) - count)
    return owner, torch.arange(len(owner), device=owner.device) + offset[owner]


def index_below(count: Tensor, uniform: Tensor) -> Tensor:
    """Return an integer in [0, count), int64, for each number in [0, 1), float64; 0 for a count of 0."""
    # The product can round up to the count itself.
    return torch.minimum((uniform * count).long(), count - 1).clamp(min=0)


class UserItems:
    """The distinct items of every user.

    Args:
        user: Index of the user of every pair, int64 [s], ascending.
        item: Index of the item, int64 [s], ascending for each user; no pair twice.
        num_users: Number of users.
        num_items: Number of items.

    Attributes:
        count: Number of items of every user, int64 [num_users].
        first: Place of a user's first item in ``item``, int64 [num_users].
    """

    def __init__(self, user: Tensor, item: Tensor, num_users: int, num_items: int) -> None:
        self.user = user
        self.item = item
        self.num_users = num_users
        self.num_items = num_items
        self.count = torch.bincount(user, minlength=num_users)
        self.first = self.count.cumsum(0) - self.count
        self._copy: UserItems | None = None

    @classmethod
    def of(cls, user: Tensor, item: Tensor, num_users: int, num_items: int) -> "UserItems":
        """Return the items of pairs [n] in any order, which may hold one several times."""
        key = torch.unique(user * num_items + item)
        return cls(key // num_items, key % num_items, num_users, num_items)

    def to(self, device: torch.device) -> "UserItems":
        """Return the same pairs on a device; itself if it is there, else what it returned the last time."""
        if self.user.device == device:
            return self
        if self._copy is None or self._copy.user.device != device:
            self._copy = UserItems(self.user.to(device), self.item.to(device), self.num_users, self.num_items)
        return self._copy

    @cached_property
    def transposed(self) -> "UserItems":
        """The users of every item, with users in the place of items, and items in that of users."""
        order = self.item.argsort(stable=True)
        return UserItems(self.item[order], self.user[order], self.num_items, self.num_users)

    @cached_property
    def count_outside(self) -> Tensor:
        """Number of items that a user does not have, int64 [num_users]."""
        return self.num_items - self.count

    def pairs_of(self, user: Tensor) -> tuple[Tensor, Tensor]:
        """Return all items of some users [b]: the place of the user among them, and the item; ordered by both."""
        owner, place = ranges(self.first[user], self.count[user])
        return owner, self.item[place]

    def contains(self, user: Tensor, item: Tensor) -> Tensor:
        """Return whether each user [n] has the item [n], bool [n]."""
        key = user * self.num_items + item
        place = torch.searchsorted(self._key, key)
        return self._key_and_end[place] == key

    def draw_outside(self, user: Tensor, uniform: Tensor) -> Tensor:
        """Return items that the users do not have, each of a user's equally likely.

        Args:
            user: Index of the user of every row, int64 [n].
            uniform: A number in [0, 1) for each item, float64 [n, draws].

        Returns:
            int64 [n, draws]; any item for a user who has them all.
        """
        if not (user.is_cpu and is_available()):
            return self.vectorised_outside(user, uniform)
        from datamodules.implicit.outside_kernel import items_outside  # compiles when it is first called

        return items_outside(uniform, self.first[user], self.count[user], self.item, self.num_items)

    def vectorised_outside(self, user: Tensor, uniform: Tensor) -> Tensor:
        """Return what :meth:`draw_outside` returns, without a kernel."""
        user = user[:, None]
        place = index_below(self.count_outside[user], uniform)
        key = user * self._stride + place
        item = place + torch.searchsorted(self._outside_before, key, right=True) - self.first[user]
        return item.clamp(max=self.num_items - 1)

    @cached_property
    def _key(self) -> Tensor:
        return self.user * self.num_items + self.item

    @cached_property
    def _key_and_end(self) -> Tensor:
        return torch.cat([self._key, self._key.new_full((1,), -1)])

    @property
    def _stride(self) -> int:
        return self.num_items + 1

    @cached_property
    def _outside_before(self) -> Tensor:
        # A user's j-th item q has q - j before it that the user does not have: the r-th of these lies behind the items
        # of which that number is at most r, and is found by one search over all users.
        before = self.item - (torch.arange(len(self.item), device=self.item.device) - self.first[self.user])
        return self.user * self._stride + before
