"""The rows of one table, with Adam's moves made when they are read."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Adam

from lightning_modules.optimizers.idle_moves import IdleTables, idle_tables
from lightning_modules.optimizers.lazy_table import RowUpdates
from lightning_modules.optimizers.row_kernels import AdamTable, RowSettings, catch_up, catch_up_all, step_rows
from lightning_modules.utilities.compiled import compiles_for

# Settings with which every row has its own gradient in every step, or its own way of moving.
_DENSE = ("weight_decay", "amsgrad", "maximize", "capturable", "differentiable")


class AdamRows(RowUpdates):
    """The rows of one table.

    Args:
        optimizer: Whose settings and state are used.
        weight: The table's, float [rows, width].
    """

    def __init__(self, optimizer: Adam, weight: nn.Parameter) -> None:
        self.optimizer = optimizer
        self.weight = weight
        self._last, self._place = np.zeros(len(weight), np.int64), np.full(len(weight), -1)
        self._steps = 0
        #: What the moves of rows that are not up to date are made with; None if there are none.
        self._due: tuple[IdleTables, RowSettings] | None = None

    def bring_up(self, rows: Tensor) -> bool:
        """Bring rows up to date, and return whether their gradient may be sparse."""
        if self._settings() is None:
            self.bring_up_all()
            return False
        if self._due is not None:
            catch_up(self._table(), rows.flatten().numpy(), self._steps, *self._due)
        return True

    def bring_up_all(self) -> None:
        """Bring all rows up to date."""
        if self._due is not None:
            catch_up_all(self._table(), self._steps, *self._due)
            self._due = None

    def take_gradient(self) -> tuple[Tensor, RowSettings] | None:
        """Return what :meth:`step` needs and take the gradient from the table; None leaves it, for torch's step."""
        gradient = self.weight.grad
        if gradient is None:
            return None
        if gradient.is_sparse and (settings := self._settings()) is not None:
            self.weight.grad = None
            return gradient, settings
        self.bring_up_all()
        self.weight.grad = gradient.to_dense()
        return None

    def step(self, gradient: Tensor, settings: RowSettings) -> None:
        """Make a step with a sparse gradient, float [rows, width], and give it back to the table."""
        if self._due is None or self._due[1] != settings:
            self._due = self._begin(settings)
        idle, _ = self._due
        rows, values = gradient._indices()[0].numpy(), gradient._values().contiguous().numpy()
        memory = self._place, np.empty_like(values)
        step_rows(self._table(), rows, values, self._steps, idle, settings, *memory)
        self._steps += 1
        self._state()["step"] += 1
        self.weight.grad = gradient

    def _begin(self, settings: RowSettings) -> tuple[IdleTables, RowSettings]:
        """Bring all rows up to date, and return what moves after this are made with."""
        self.bring_up_all()
        self._steps = int(self._state()["step"])
        self._last.fill(self._steps)
        return idle_tables(settings.beta1, settings.beta2, 1.0), settings

    def _table(self) -> AdamTable:
        state = self._state()
        weight = self.weight.detach().numpy()
        return AdamTable(weight, state["exp_avg"].numpy(), state["exp_avg_sq"].numpy(), self._last)

    def _state(self) -> dict[str, Tensor]:
        state: dict[str, Tensor] = self.optimizer.state[self.weight]
        if not state:
            # As torch makes it.
            state["step"] = torch.tensor(0.0)
            state["exp_avg"], state["exp_avg_sq"] = (torch.zeros_like(self.weight) for _ in range(2))
        return state

    def _settings(self) -> RowSettings | None:
        """Return the settings of lazy updates; None where all rows are to be updated."""
        weight = self.weight
        group = next(group for group in self.optimizer.param_groups if any(each is weight for each in group["params"]))
        dense = any(group.get(name) for name in _DENSE) or not compiles_for(weight) or weight.dtype != torch.float32
        first, second = group["betas"]
        # Or the moves of idle steps have no finite sum.
        return None if dense or first >= second else RowSettings(float(group["lr"]), first, second, group["eps"])
