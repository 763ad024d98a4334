"""A compiled loop that finds items which users do not have, for processors."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lightning_modules.utilities.compiled import compiled

_Integers = npt.NDArray[np.int64]
_Numbers = npt.NDArray[np.float64]


def items_outside(uniform: Tensor, first: Tensor, count: Tensor, item: Tensor, num_items: int) -> Tensor:
    """Return what ``UserItems.draw_outside`` returns.

    Args:
        uniform: Numbers in [0, 1), float64 [n, draws].
        first: Place in ``item`` of the first item that the row's user has, int64 [n].
        count: Number of these items, int64 [n].
        item: Items, int64 [s], ascending for each user.
        num_items: Number of all items.

    Returns:
        int64 [n, draws].
    """
    return torch.from_numpy(_outside(uniform.numpy(), first.numpy(), count.numpy(), item.numpy(), num_items))


@compiled
def _outside(uniform: _Numbers, first: _Integers, count: _Integers, item: _Integers, num_items: int) -> _Integers:
    rows, draws = uniform.shape
    outside = np.empty((rows, draws), np.int64)
    # About as many blocks of neighbouring places as a row has draws: to fill them costs no more than to draw.
    shift = 0
    while num_items >> shift > draws:
        shift += 1
    # The number of the user's items before the first place of a block, from which a search for its places begins.
    before_block = np.empty((num_items >> shift) + 1, np.int64)
    for row in range(rows):
        own = item[first[row] : first[row] + count[row]]
        left = num_items - len(own)
        if left == 0:
            outside[row, :] = num_items - 1
            continue
        before = 0
        for block in range(((left - 1) >> shift) + 1):
            while before < len(own) and own[before] - before < block << shift:
                before += 1
            before_block[block] = before
        for draw in range(draws):
            place = np.int64(uniform[row, draw] * left)
            # The product can round up to the number itself.
            if place == left:
                place -= 1
            before = before_block[place >> shift]
            while before < len(own) and own[before] - before <= place:
                before += 1
            outside[row, draw] = place + before
    return outside
