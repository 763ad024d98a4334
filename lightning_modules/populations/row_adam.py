"""Adam on the rows of a table that a batch reads, the moves of idle rows included."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from lightning_modules.populations.idle_moves import IdleMoves
from lightning_modules.populations.row_optimizers import Fetched, RowOptimizer, put_rows

# Beyond this the weights of squared gradients are brought back to 1, long before single precision ends.
_LARGEST_WEIGHT = 1e8
# So many rows are brought up to date at a time.
_MOST_ROWS = 1024


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
        moves = [each.to(self.table.dtype)[..., None, None] for each in self._idle_moves(since, self.steps + 1)]
        (weight, other_weight), (eps, other_eps), kept = moves
        mean, squares = self._mean.index_select(0, rows), self._squares.index_select(0, rows)
        root = squares.sqrt()
        factor = torch.div(weight, root + eps).addcdiv_(other_weight, root + other_eps)
        vectors = self.table.index_select(0, rows).addcmul_(mean, factor, value=-self.learning_rate)
        return Fetched(rows, vectors, (mean, squares, kept))

    def step(self, fetched: Fetched, gradient: Tensor) -> None:
        """Add the gradient to the rows' moments; the move itself is made when they are fetched again."""
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
        """Make all moves that are left, and let the next step be the one of weight 1."""
        upcoming = self.steps + 1
        for rows in torch.arange(len(self.table), device=self.table.device).split(_MOST_ROWS):
            _, vectors, (mean, _, kept) = self.fetch(rows)
            put_rows(self.table, rows, vectors)
            put_rows(self._mean, rows, mean.mul_(kept))
        self._squares.div_(self._idle_moves.weight(upcoming))
        self._last_step.fill_(upcoming)
        self._idle_moves.start_at(upcoming)
