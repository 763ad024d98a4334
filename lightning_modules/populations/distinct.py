"""The different rows of a table that a batch reads."""

from typing import NamedTuple

import torch
from torch import Tensor


class DistinctRows(NamedTuple):
    """The rows of a table that a batch reads, each once and in order.

    Attributes:
        rows: Their numbers, int64 [distinct].
        place: Place of every read among them, int64 [reads].
    """

    rows: Tensor
    place: Tensor


def distinct_rows(reads: Tensor, padding_row: int) -> DistinctRows:
    """Find the different rows among those that a batch reads.

    Args:
        reads: Numbers of rows, with repetitions, int64 [reads].
        padding_row: A row, larger than all others, that nobody reads; see :func:`padded_rows`.
    """
    if reads.device.type == "cpu":
        return DistinctRows(*torch.unique(reads, return_inverse=True))
    return padded_rows(reads, padding_row)


def padded_rows(reads: Tensor, padding_row: int) -> DistinctRows:
    """Find the different rows without counting them, for accelerators that nothing is to wait for.

    The rows are filled up with the padding row to as many as there are reads.
    """
    ordered, order = reads.sort()
    is_new = torch.ones_like(ordered)
    is_new[1:] = ordered[1:] != ordered[:-1]
    place = is_new.cumsum(0) - 1
    rows = torch.full_like(reads, padding_row).index_copy_(0, place, ordered)
    return DistinctRows(rows, torch.empty_like(reads).index_copy_(0, order, place))
