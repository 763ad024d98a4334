"""Compiled loops over the negatives that rows replace by others, for processors."""

from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from lightning_modules.utilities.compiled import compiled

_Floats = npt.NDArray[np.floating[Any]]
_Integers = npt.NDArray[np.int64]


def take_over(scores: Tensor, replaced: Tensor) -> None:
    """Give replaced negatives the scores of those that are used instead, in place.

    Args:
        scores: Float [n, N].
        replaced: Row, place and other place, int64 [3, m].
    """
    _take_over(scores.numpy(), replaced.contiguous().numpy())


def hand_over(gradient: Tensor, replaced: Tensor) -> None:
    """Add the gradients of replaced negatives to those that are used instead, and make them 0, in place.

    Args:
        gradient: Float [n, N].
        replaced: Row, place and other place, int64 [3, m].
    """
    _hand_over(gradient.numpy(), replaced.contiguous().numpy())


@compiled
def _take_over(scores: _Floats, replaced: _Integers) -> None:
    for number in range(replaced.shape[1]):
        row = replaced[0, number]
        scores[row, replaced[1, number]] = scores[row, replaced[2, number]]


@compiled
def _hand_over(gradient: _Floats, replaced: _Integers) -> None:
    for number in range(replaced.shape[1]):
        row, place = replaced[0, number], replaced[1, number]
        gradient[row, replaced[2, number]] += gradient[row, place]
        gradient[row, place] = 0
