"""Compiled loops that score negatives of every row's own, for processors."""

from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from lightning_modules.utilities.compiled import compiled

_Floats = npt.NDArray[np.floating[Any]]
_Integers = npt.NDArray[np.int64]


def score(user_vector: Tensor, catalogue: Tensor, negative: Tensor) -> Tensor:
    """Return the products of users' vectors [n, d] and those out of the catalogue [m, d], float [n, N]."""
    scores = user_vector.new_empty(negative.shape)
    _score(*(each.numpy() for each in (user_vector.contiguous(), catalogue.contiguous(), negative, scores)))
    return scores


def vector_gradients(
    gradient: Tensor, user_vector: Tensor, catalogue: Tensor, negative: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the gradients of the users' vectors, [n, d], and of the catalogue, [m, d], from that of the scores."""
    users, items = (each.new_zeros(each.shape) for each in (user_vector, catalogue))
    given = (gradient.contiguous(), user_vector.contiguous(), catalogue.contiguous(), negative, users, items)
    _add_gradients(*(each.numpy() for each in given))
    return users, items


@compiled
def _score(user_vector: _Floats, catalogue: _Floats, negative: _Integers, scores: _Floats) -> None:
    for row in range(negative.shape[0]):
        for place in range(negative.shape[1]):
            item = negative[row, place]
            total = user_vector.dtype.type(0)
            for column in range(user_vector.shape[1]):
                total += user_vector[row, column] * catalogue[item, column]
            scores[row, place] = total


@compiled
def _add_gradients(
    gradient: _Floats, user_vector: _Floats, catalogue: _Floats, negative: _Integers, users: _Floats, items: _Floats
) -> None:
    for row in range(negative.shape[0]):
        user, own = user_vector[row], users[row]
        for place in range(negative.shape[1]):
            factor, other, theirs = gradient[row, place], catalogue[negative[row, place]], items[negative[row, place]]
            # Two loops: in one, the compiler would have to know that the arrays do not overlap.
            for column in range(len(own)):
                own[column] += factor * other[column]
            for column in range(len(user)):
                theirs[column] += factor * user[column]
