"""A compiled loop that finds the best items of users, for processors."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lightning_modules.utilities.compiled import compiled, compiled_inline

_Floats = npt.NDArray[np.floating[Any]]
_Integers = npt.NDArray[np.int64]
# Scores that are compared at once with the last one that is kept: most blocks of a long catalogue hold none above it.
_BLOCK = 32


def best_items(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the best scores of every row, nan before all others, and their places; equal ones in the order of places.

    Args:
        scores: Float [users, items].
        k: How many, at most the number of items.

    Returns:
        Float and int64 [users, k].
    """
    scores = scores.detach().contiguous()
    best, place = scores.new_empty(len(scores), k), torch.empty(len(scores), k, dtype=torch.int64)
    _keep_best(*(each.numpy() for each in (scores, best, place)))
    return best, place


@compiled_inline
def _is_above(score: float, other: float) -> bool:
    return score > other or (score != score and other == other)


@compiled
def _keep_best(scores: _Floats, best: _Floats, place: _Integers) -> None:
    num_items, k = scores.shape[1], best.shape[1]
    zero, one = scores.dtype.type(0), scores.dtype.type(1)
    for row in range(len(scores)):
        values, kept, items = scores[row], best[row], place[row]
        count = 0
        for start in range(0, num_items, _BLOCK):
            block = values[start : start + _BLOCK]
            if count == k:
                # In the scores' own type the compiler compares several at once.
                candidates, last = zero, kept[k - 1]
                for offset in range(len(block)):
                    candidates += zero if block[offset] <= last else one
                if candidates == zero:
                    continue
            for offset in range(len(block)):
                score = block[offset]
                if count < k:
                    rank = count
                    count += 1
                elif _is_above(score, kept[k - 1]):
                    rank = k - 1
                else:
                    continue
                while rank > 0 and _is_above(score, kept[rank - 1]):
                    kept[rank], items[rank] = kept[rank - 1], items[rank - 1]
                    rank -= 1
                kept[rank], items[rank] = score, start + offset
