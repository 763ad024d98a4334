"""Adam on the rows of a table that a batch reads, the moves of idle rows included."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from lightning_modules.populations.cached_parts import cached_parts
from lightning_modules.populations.idle_moves import IdleMoves
from lightning_modules.populations.row_optimizers import Fetched, RowOptimizer, put_rows

# Beyond this the weights of squared gradients are brought back to 1, long before single precision ends.
_LARGEST_WEIGHT = 1e8


class RowAdam(RowOptimizer):
    """Adam (Kingma and Ba, ICLR 2015, https://arxiv.org/abs/1412.6980), whose moments move rows without gradient too.

    A row's moves since it was read last, the one of that step included, are made up for when it is read again, in
    closed form; see :class:`IdleMoves`. Both moments lack their factors 1 - beta, and the squares their decay too, so
    that nothing is done to them while a row is idle: a later gradient weighs more instead.
    """

    follows = frozenset({"betas", "eps"})

    def __init__(self, table: Tensor, settings: Mapping[str, Any]) -> None:
        super().__init__(table, settings)
        self._mean, self._squares = torch.zeros_like(table), torch.zeros_like(table)
        self._last_step = torch.zeros(len(table), dtype=torch.int64, device=table.device)
        self._idle_moves = IdleMoves(settings["betas"], settings["eps"], table.device)

    def fetch(self, rows: Tensor) -> Fetched:
        """Return rows of the table after the moves that they have not made yet."""
        since = self._last_step.index_select(0, rows)
        moves = self._idle_moves(since, self.steps + 1)
        weights, eps, kept = (each.to(self.table.dtype)[..., None, None] for each in moves)
        vectors = self.table.new_empty(len(rows), *self.table.shape[1:])
        for part in cached_parts(len(rows), self.table):
            self._make_up(rows[part], zip(weights[:, part], eps[:, part], strict=True), out=vectors[part])
        return Fetched(rows, vectors, (kept,))

    def _make_up(self, rows: Tensor, terms: Iterable[tuple[Tensor, Tensor]], out: Tensor) -> None:
        """Write rows after their moves to ``out``; the terms are the weights and eps of :class:`IdleMoves`."""
        torch.index_select(self.table, 0, rows, out=out)
        mean, root = self._mean.index_select(0, rows), self._squares.index_select(0, rows).sqrt_()
        for weight, eps in terms:
            # The weight divides the divisor, since torch is slow where a tensor meets two tensors and a number a row.
            out.addcdiv_(mean, torch.add(root, eps).div_(weight), value=-self.learning_rate)

    def step(self, fetched: Fetched, gradient: Tensor) -> None:
        """Add the gradient to the rows' moments; the move itself is made when they are fetched again."""
        rows, vectors, (kept,) = fetched
        self.steps += 1
        weight = self._weight()
        for part in cached_parts(len(rows), self.table):
            put_rows(self.table, rows[part], vectors[part])
            self._add(rows[part], gradient[part], kept[part], weight)
        self._last_step.index_fill_(0, rows, self.steps)

    def _add(self, rows: Tensor, gradient: Tensor, kept: Tensor, weight: float) -> None:
        put_rows(self._mean, rows, self._mean.index_select(0, rows).mul_(kept).add_(gradient))
        squares = self._squares.index_select(0, rows)
        put_rows(self._squares, rows, squares.addcmul_(gradient, gradient, value=weight))

    def _weight(self) -> float:
        """Return the weight of this step's squares; where it is too large, let this be the step of weight 1."""
        weight = self._idle_moves.weight(self.steps)
        if weight < _LARGEST_WEIGHT:
            return weight
        self._squares.div_(weight)
        self._idle_moves.start_at(self.steps)
        return 1.0
