"""A compiled loop over the rows of a batch that replaces the negatives which their users have, for processors."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from datamodules.implicit.user_items import UserItems
from lightning_modules.utilities.compiled import compiled

_Integers = npt.NDArray[np.int64]


def replacements(user: Tensor, negative: Tensor, items: UserItems) -> tuple[Tensor, Tensor]:
    """Return what ``vectorised_replacements`` returns, without the rows that are left out, in any order in a row."""
    first, count, item = items.first.numpy(), items.count.numpy(), items.item.numpy()
    left, replaced = _replace(user.numpy(), negative.numpy(), first, count, item, items.num_items)
    return torch.from_numpy(left), torch.from_numpy(replaced)


@compiled
def _replace(
    user: _Integers, negative: _Integers, first: _Integers, count: _Integers, item: _Integers, num_items: int
) -> tuple[_Integers, _Integers]:
    negatives = len(negative)
    # The first place of every negative, and the next place of the same; most items are none, which bits tell quicker.
    bits = np.zeros((num_items >> 5) + 1, np.uint32)
    place_of, same = np.full(num_items, -1, np.int32), np.empty(negatives, np.int32)
    for place in range(negatives - 1, -1, -1):
        one = negative[place]
        bits[one >> 5] |= np.uint32(1 << (one & 31))
        same[place] = place_of[one]
        place_of[one] = place
    # Memory that nobody writes to costs nothing.
    replaced, end = np.empty((3, count[user].sum() + negatives), np.int64), 0
    left, num_left = np.empty(len(user), np.int64), 0
    taken_in = np.full(negatives, -1, np.int64)
    for row in range(len(user)):
        begin = end
        if end + negatives > replaced.shape[1]:
            longer = np.empty((3, 2 * replaced.shape[1]), np.int64)
            longer[:, :end] = replaced[:, :end]
            replaced = longer
        for pair in range(first[user[row]], first[user[row]] + count[user[row]]):
            if bits[item[pair] >> 5] >> np.uint32(item[pair] & 31) & np.uint32(1):
                place = place_of[item[pair]]
                while place >= 0:
                    replaced[1, end] = place
                    taken_in[place] = row
                    end += 1
                    place = same[place]
        if end - begin == negatives:
            end = begin
            continue
        left[num_left] = row
        num_left += 1
        for taken in range(begin, end):
            place = replaced[1, taken]
            while taken_in[place] == row:
                place = place + 1 if place + 1 < negatives else 0
            replaced[0, taken], replaced[2, taken] = row, place
    return left[:num_left], replaced[:, :end]
