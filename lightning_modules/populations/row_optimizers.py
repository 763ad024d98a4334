"""Optimizers that touch only the rows of a table that a batch reads, and end where the dense ones do."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor


class Fetched(NamedTuple):
    """Rows of a table, taken out to be trained.

    Attributes:
        rows: Their numbers, int64 [distinct].
        vectors: Their weights as the dense optimizer would have them now, float [distinct, K, width].
        states: What else the optimizer has to know of them.
    """

    rows: Tensor
    vectors: Tensor
    states: tuple[Tensor, ...] = ()


def put_rows(table: Tensor, rows: Tensor, values: Tensor) -> None:
    """Write different rows of a table: int64 [distinct] and float [distinct, ...]."""
    if table.device.type == "cpu":
        # On a CPU numpy copies whole rows, in half of the time that torch takes for it.
        table.numpy()[rows.numpy()] = values.numpy()
    else:
        table.index_copy_(0, rows, values)


class RowOptimizer(ABC):
    """Trains the rows of a table.

    Args:
        table: Float [rows, K, width]; changed in place, and for the owner out of date between steps.
        settings: The dense optimizer's.
    """

    #: Settings that are followed, apart from the learning rate; all others must be off.
    follows: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, table: Tensor, settings: Mapping[str, Any]) -> None:
        self.table = table
        self.learning_rate = float(settings["lr"])
        self.steps = 0

    def fetch(self, rows: Tensor) -> Fetched:
        """Return rows of the table, which stays as it is; ``rows`` are different numbers, int64 [distinct]."""
        return Fetched(rows, self.table.index_select(0, rows))

    @abstractmethod
    def step(self, fetched: Fetched, gradient: Tensor) -> None:
        """Take a step with the gradient of ``fetched.vectors``, which may be overwritten; all others are zero."""


class RowSGD(RowOptimizer):
    """Stochastic gradient descent without momentum: a row without gradient stays where it is."""

    def step(self, fetched: Fetched, gradient: Tensor) -> None:
        """Move the rows against their gradient."""
        put_rows(self.table, fetched.rows, fetched.vectors.add_(gradient, alpha=-self.learning_rate))


class RowAdagrad(RowOptimizer):
    """Adagrad: a row without gradient stays where it is (Duchi, Hazan and Singer, JMLR 12, 2011)."""

    follows = frozenset({"eps", "lr_decay", "initial_accumulator_value"})

    def __init__(self, table: Tensor, settings: Mapping[str, Any]) -> None:
        super().__init__(table, settings)
        self.eps = settings["eps"]
        self.decay = settings["lr_decay"]
        self._squares = torch.full_like(table, settings["initial_accumulator_value"])

    def step(self, fetched: Fetched, gradient: Tensor) -> None:
        """Move the rows against their gradient, divided by the root of its summed squares."""
        rate = self.learning_rate / (1 + self.steps * self.decay)
        self.steps += 1
        squares = self._squares.index_select(0, fetched.rows).addcmul_(gradient, gradient)
        put_rows(self._squares, fetched.rows, squares)
        vectors = fetched.vectors.addcdiv_(gradient, squares.sqrt_().add_(self.eps), value=-rate)
        put_rows(self.table, fetched.rows, vectors)
