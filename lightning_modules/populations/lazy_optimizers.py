"""Lazy optimizers: they update only the rows of a table that a batch reads, and end where the dense ones do."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from lightning_modules.populations.lazy_adam import IdleMoves


class Fetched(NamedTuple):
    """Rows of a table, up to date, to be trained in one step.

    Attributes:
        rows: Their numbers, int64 [distinct].
        vectors: Their weights as the dense optimizer would have them now, float [distinct, K, width].
        states: The optimizer's state of these rows.
    """

    rows: Tensor
    vectors: Tensor
    states: tuple[Tensor, ...] = ()


def put_rows(table: Tensor, rows: Tensor, values: Tensor) -> None:
    """Write different rows of a table: int64 [distinct] and float [distinct, ...]."""
    if table.device.type == "cpu":
        # On a CPU numpy copies whole rows in half of torch's time.
        table.numpy()[rows.numpy()] = values.numpy()
    else:
        table.index_copy_(0, rows, values)


class RowOptimizer(ABC):
    """Trains the rows of a table.

    Args:
        table: Float [rows, K, width]; changed in place, and not up to date between steps.
        settings: The dense optimizer's.
    """

    #: Settings that are supported, apart from the learning rate; all others must be off.
    follows: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, table: Tensor, settings: Mapping[str, Any]) -> None:
        self.table = table
        self.learning_rate = float(settings["lr"])
        self.steps = 0

    def fetch(self, rows: Tensor) -> Fetched:
        """Return rows of the table, which stays unchanged; ``rows`` are different numbers, int64 [distinct]."""
        return Fetched(rows, self.table.index_select(0, rows))

    @abstractmethod
    def step(self, fetched: Fetched, gradient: Tensor) -> None:
        """Take a step with the gradient of ``fetched.vectors``, which may be overwritten; other rows have none."""


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


# At this weight of squared gradients the origin is moved, long before single precision overflows.
_LARGEST_WEIGHT = 1e8
# Number of rows that are brought up to date at a time.
_MOST_ROWS = 1024


class RowAdam(RowOptimizer):
    """Lazy Adam that equals dense Adam (Kingma and Ba, ICLR 2015, https://arxiv.org/abs/1412.6980).

    Adam moves rows without gradient too. A row's moves since it was last read are made when it is read again, in
    closed form; see :class:`IdleMoves`. Both moments are kept without their factors 1 - beta, and the squares without
    their decay, so that an idle row needs no update: a later gradient has a larger weight instead.
    """

    follows = frozenset({"betas", "eps"})

    def __init__(self, table: Tensor, settings: Mapping[str, Any]) -> None:
        super().__init__(table, settings)
        self._mean, self._squares = torch.zeros_like(table), torch.zeros_like(table)
        self._last_step = torch.zeros(len(table), dtype=torch.int64, device=table.device)
        self._idle_moves = IdleMoves(settings["betas"], settings["eps"], table.device)

    def fetch(self, rows: Tensor) -> Fetched:
        """Return rows of the table after the moves that are due."""
        since = self._last_step.index_select(0, rows)
        moves = [each.to(self.table.dtype)[..., None, None] for each in self._idle_moves.sums(since, self.steps + 1)]
        (weight, other_weight), (eps, other_eps), kept = moves
        mean, squares = self._mean.index_select(0, rows), self._squares.index_select(0, rows)
        root = squares.sqrt()
        factor = torch.div(weight, root + eps).addcdiv_(other_weight, root + other_eps)
        vectors = self.table.index_select(0, rows).addcmul_(mean, factor, value=-self.learning_rate)
        return Fetched(rows, vectors, (mean, squares, kept))

    def step(self, fetched: Fetched, gradient: Tensor) -> None:
        """Add the gradient to the moments of the rows; the move is made when they are fetched again."""
        rows, vectors, (mean, squares, kept) = fetched
        self.steps += 1
        put_rows(self.table, rows, vectors)
        put_rows(self._mean, rows, torch.addcmul(gradient, mean, kept, out=mean))
        weight = self._idle_moves.weight(self.steps)
        put_rows(self._squares, rows, squares.addcmul_(gradient, gradient, value=weight))
        self._last_step.index_fill_(0, rows, self.steps)
        if self._idle_moves.weight(self.steps + 1) >= _LARGEST_WEIGHT:
            self._settle()

    def _settle(self) -> None:
        """Make all moves that are due, and make the next step the origin."""
        upcoming = self.steps + 1
        for rows in torch.arange(len(self.table), device=self.table.device).split(_MOST_ROWS):
            _, vectors, (mean, _, kept) = self.fetch(rows)
            put_rows(self.table, rows, vectors)
            put_rows(self._mean, rows, mean.mul_(kept))
        self._squares.div_(self._idle_moves.weight(upcoming))
        self._last_step.fill_(upcoming)
        self._idle_moves.start_at(upcoming)
