"""A compiled loop over the rows of a batch that replaces the negatives which their users have, for processors."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from datamodules.implicit.user_items import UserItems
from lightning_modules.utilities.compiled import compiled

_Integers = npt.NDArray[np.int64]


def replacements(user: Tensor, negative: Tensor, items: UserItems) -> tuple[Tensor, Tensor]:
    """Return what ``vectorised_replacements`` returns, with the replaced places of a row in any order."""
    first, count, item = items.first.numpy(), items.count.numpy(), items.item.numpy()
    left, replaced = _replace(user.numpy(), negative.numpy(), first, count, item, items.num_items)
    return torch.from_numpy(left), torch.from_numpy(replaced)


@compiled
def _replace(
    user: _Integers, negative: _Integers, first: _Integers, count: _Integers, item: _Integers, num_items: int
) -> tuple[_Integers, _Integers]:
    # The first place of every item among the negatives, and the next place of the same item.
    place_of, same = np.full(num_items, -1, np.int32), np.empty(len(negative), np.int32)
    for place in range(len(negative) - 1, -1, -1):
        same[place] = place_of[negative[place]]
        place_of[negative[place]] = place
    left, num_left = np.empty(len(user), np.int64), 0
    replaced, end = np.empty((3, 4 * len(user) + len(negative)), np.int64), 0
    taken_in = np.full(len(negative), -1, np.int64)
    for row in range(len(user)):
        begin = end
        if end + len(negative) > replaced.shape[1]:
            longer = np.empty((3, 2 * replaced.shape[1]), np.int64)
            longer[:, :end] = replaced[:, :end]
            replaced = longer
        for pair in range(first[user[row]], first[user[row]] + count[user[row]]):
            place = place_of[item[pair]]
            while place >= 0:
                replaced[0, end], replaced[1, end] = row, place
                taken_in[place] = row
                end += 1
                place = same[place]
        if end - begin == len(negative):
            end = begin
            continue
        left[num_left] = row
        num_left += 1
        for taken in range(begin, end):
            place = replaced[1, taken]
            while taken_in[place] == row:
                place = place + 1 if place + 1 < len(negative) else 0
            replaced[2, taken] = place
    return left[:num_left].copy(), replaced[:, :end].copy()
