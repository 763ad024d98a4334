"""Negatives that all rows of a batch share, of which each row leaves out the items that its user has."""

import torch
from torch import Tensor

from datamodules.batches import TopNBatch
from datamodules.implicit.user_items import UserItems, ranges
from lightning_modules.utilities.compiled import is_available


def with_shared_negatives(user: Tensor, item: Tensor, negative: Tensor, items: UserItems) -> TopNBatch | None:
    """Give rows the same negatives, but those that a row's user has.

    In place of such a negative the row uses the next of its negatives that its user does not have, behind the last one
    the first. As the negatives are drawn independently, their order says nothing, and each that a row uses has the
    distribution of a draw among the items that its user does not have. Rows whose user has all negatives are left out.

    Args:
        user: Index of the user, int64 [n].
        item: Index of an item of the user, int64 [n].
        negative: Indices of the shared negatives in random order, int64 [negatives].
        items: The items that their users' rows leave out.

    Returns:
        The batch, without ``log_q``; None if no row is left.
    """
    if user.is_cpu and is_available():
        from datamodules.implicit.replacement_kernel import replacements  # compiles when it is first called
    else:
        replacements = vectorised_replacements
    left, replaced = replacements(user, negative, items)
    if len(left) < len(user):
        if not len(left):
            return None
        user, item = user[left], item[left]
        _, replaced = replacements(user, negative, items)
    return TopNBatch(user, item, negative, replaced, log_q=torch.empty(0, device=user.device))


def vectorised_replacements(user: Tensor, negative: Tensor, items: UserItems) -> tuple[Tensor, Tensor]:
    """Return the rows [n] whose user does not have all negatives, int64 [left], and ``TopNBatch.replaced``."""
    row, place = _taken_places(items, user, negative)
    left = (torch.bincount(row, minlength=len(user)) < len(negative)).nonzero().squeeze(1)
    return left, torch.stack([row, place, _next_left(row, place, len(negative))])


def _taken_places(items: UserItems, user: Tensor, negative: Tensor) -> tuple[Tensor, Tensor]:
    """Return all rows [n] and places of negatives [negatives] that their user has, ordered by both."""
    # Either the users' items are looked up among the negatives, or the negatives' users among the rows.
    if items.count[user].sum() <= items.transposed.count[negative].sum():
        row, place = _meetings(items, user, negative)
    else:
        place, row = _meetings(items.transposed, negative, user)
    # Marking the places and reading them in order is quicker than sorting.
    is_taken = torch.zeros(len(user) * len(negative), dtype=torch.bool, device=user.device)
    is_taken[row * len(negative) + place] = True
    taken = is_taken.nonzero().squeeze(1)
    row = taken // len(negative)
    return row, taken - row * len(negative)


def _meetings(items: UserItems, user: Tensor, item: Tensor) -> tuple[Tensor, Tensor]:
    """Return all places in ``user`` [n] and ``item`` [m] of which the user has the item."""
    ordered, order = item.sort()
    distinct, count = torch.unique_consecutive(ordered, return_counts=True)
    number = item.new_full((items.num_items,), -1)
    number[distinct] = torch.arange(len(distinct), device=item.device)
    row, found = items.pairs_of(user)
    met = number[found]
    is_met = (met >= 0).nonzero().squeeze(1)
    row, met = row[is_met], met[is_met]
    owner, place = ranges((count.cumsum(0) - count)[met], count[met])
    return row[owner], order[place]


def _next_left(row: Tensor, place: Tensor, negatives: int) -> Tensor:
    """Return for each taken place, ordered by row and place, the next one of the row that is not taken."""
    if not len(row):
        return place
    position = torch.arange(len(row), device=row.device)
    begins = torch.ones_like(row, dtype=torch.bool)
    begins[1:] = row[1:] != row[:-1]
    # The place behind a run of neighbouring taken places takes over from all of them.
    ends = torch.ones_like(begins)
    ends[:-1] = begins[1:] | (place[1:] != place[:-1] + 1)
    end = torch.where(ends, position, len(row)).flip(0).cummin(0).values.flip(0)
    behind = place[end] + 1
    first = torch.where(begins, position, 0).cummax(0).values
    front = torch.where(place[first] == 0, behind[first], 0)
    return torch.where(behind < negatives, behind, front)
