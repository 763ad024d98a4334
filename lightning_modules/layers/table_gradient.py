"""The gradient of a table of which a batch reads few rows."""

from collections.abc import Callable

import torch
from torch import Tensor

#: Takes the table's number of rows, different rows of it, int64 [rows], and their gradients, float [rows, dim]; returns
#: the gradient of the table, float [size, dim], which is 0 elsewhere.
TableGradient = Callable[[int, Tensor, Tensor], Tensor]


def new_gradient(size: int, rows: Tensor, values: Tensor) -> Tensor:
    """Return a table's gradient; see :data:`TableGradient`."""
    return values.new_zeros(size, values.shape[1]).index_copy_(0, rows, values)


class ReusedGradient:
    """Hands out a table's gradients in the same memory, of which only the last one's rows need to be cleared.

    The gradient before becomes the new one, so this is for training loops that drop every gradient before they compute
    another, and never add two up.
    """

    def __init__(self) -> None:
        self._gradient = torch.empty(0)
        self._rows = torch.empty(0, dtype=torch.int64)

    def __call__(self, size: int, rows: Tensor, values: Tensor) -> Tensor:
        """Return a table's gradient; see :data:`TableGradient`."""
        if self._gradient.shape != (size, values.shape[1]) or self._gradient.dtype != values.dtype:
            self._gradient = values.new_zeros(size, values.shape[1])
        else:
            self._gradient.index_fill_(0, self._rows, 0)
        self._rows = rows
        # Autograd copies what somebody else holds too, unless it is another tensor over the same memory.
        return self._gradient.index_copy_(0, rows, values).detach()
