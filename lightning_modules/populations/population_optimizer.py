"""One optimizer for the table and the parameters of a population."""

from collections.abc import Callable, Iterable
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from lightning_modules.populations.row_optimizers import Fetched, RowOptimizer


class PopulationOptimizer(Optimizer):
    """Takes the steps of a row optimizer and of a dense one together.

    Args:
        rows: Trains the table.
        dense: Trains the parameters; ``None`` if there are none.
    """

    def __init__(self, rows: RowOptimizer, dense: Optimizer | None) -> None:
        self.rows = rows
        self.dense = dense
        self._gradient: tuple[Fetched, Tensor] | None = None
        groups = [{"params": [rows.table]}] if dense is None else dense.param_groups
        super().__init__(groups, {"lr": rows.learning_rate})

    def receive(self, fetched: Fetched, gradient: Tensor, others: Iterable[Tensor]) -> None:
        """Take the gradients of the next step: of the fetched rows, and of every parameter."""
        self._gradient = fetched, gradient
        parameters = [] if self.dense is None else self.dense.param_groups[0]["params"]
        for parameter, each in zip(parameters, others, strict=True):
            # Fused kernels take it for granted that a gradient lies in memory as its parameter does.
            parameter.grad = each.contiguous()

    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Take a step.

        Args:
            closure: Hands over the gradients.
        """
        if closure is not None:
            closure()
        assert self._gradient is not None
        self.rows.step(*self._gradient)
        self._gradient = None
        if self.dense is not None:
            self.dense.step()
