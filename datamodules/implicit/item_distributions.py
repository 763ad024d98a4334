"""Probabilities with which items are drawn: all alike, or by the number of their users."""

from typing import Protocol

import torch
from torch import Tensor

from datamodules.implicit.user_items import UserItems, index_below

# Probabilities are held as whole shares of it, so that sums and differences of them are exact.
_SHARES = 1 << 32


class ItemDistribution(Protocol):
    """Draws items, with replacement.

    Attributes:
        items: The items of every user.
        log_probability: Logarithm of an item's probability, float32 [num_items].
        has_outside: Whether a user does not have all items that are drawn, bool [num_users].
    """

    items: UserItems
    log_probability: Tensor
    has_outside: Tensor

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Return that many items, int64 [count]."""

    def draw_outside(self, user: Tensor, uniform: Tensor) -> Tensor:
        """Return items that the users do not have.

        Args:
            user: Index of the user of every row, int64 [n].
            uniform: A number in [0, 1) for each item, float64 [n, draws].

        Returns:
            int64 [n, draws]; any item for a user who has all that are drawn.
        """


class UniformItems:
    """Draws every item with the same probability.

    Args:
        items: The items of every user.
    """

    def __init__(self, items: UserItems) -> None:
        self.items = items
        self.log_probability = -torch.full((items.num_items,), items.num_items, device=items.item.device).log()
        self.has_outside = items.count_outside > 0
        self.draw_outside = items.draw_outside

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Return that many items, int64 [count]."""
        return torch.randint(self.items.num_items, (count,), generator=generator, device=self.items.item.device)


class PopularItems:
    """Draws items with probabilities proportional to a power of the number of their users.

    Args:
        items: The items of every user; those of nobody are not drawn.
        power: 1 for the popularity itself, 0 for all items alike.
    """

    def __init__(self, items: UserItems, power: float) -> None:
        popularity = items.transposed.count.double()
        weight = torch.where(popularity > 0, popularity**power, 0.0)
        probability = weight / weight.sum()
        self.items = items
        self.log_probability = probability.log().float()
        share = (probability * _SHARES).round().long()
        self._until = share.cumsum(0)
        self._stride = int(self._until[-1]) + 1
        # The shares of the users' items before each, in the order of the pairs.
        self._taken_before = torch.cat([share.new_zeros(1), share[items.item].cumsum(0)])
        self._taken_of_others = self._taken_before[items.first]
        taken = share.new_zeros(items.num_users).index_add(0, items.user, share[items.item])
        self._outside = self._until[-1] - taken
        self.has_outside = self._outside > 0
        before = (self._until - share)[items.item] - (self._taken_before[:-1] - self._taken_of_others[items.user])
        self._outside_before = items.user * self._stride + before

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Return that many items, int64 [count]."""
        size = int(self._until[-1])
        place = torch.randint(size, (count,), generator=generator, device=self._until.device)
        return torch.searchsorted(self._until, place, right=True)

    def draw_outside(self, user: Tensor, uniform: Tensor) -> Tensor:
        """Return items [n, draws] that the users [n] do not have, from numbers in [0, 1) [n, draws]."""
        # As in UserItems.vectorised_outside, with shares in the place of numbers of items.
        user = user[:, None]
        place = index_below(self._outside[user], uniform)
        taken = torch.searchsorted(self._outside_before, user * self._stride + place, right=True)
        place = place + self._taken_before[taken] - self._taken_of_others[user]
        return torch.searchsorted(self._until, place, right=True).clamp(max=self.items.num_items - 1)
