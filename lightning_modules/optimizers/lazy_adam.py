"""Adam that updates rows of tables only when they are read."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn
from torch.optim import Adam

from lightning_modules.optimizers.lazy_table import LazyTable
from lightning_modules.utilities.compiled import is_available

if TYPE_CHECKING:
    from lightning_modules.optimizers.adam_rows import AdamRows


class LazyAdam(Adam):
    """Adam (Kingma and Ba, ICLR 2015, https://arxiv.org/abs/1412.6980) that leaves out rows that a batch does not read.

    Adam moves rows without gradient too, by what is left of their earlier gradients. Those moves have a sum, which is
    made when a row is read again or the epoch ends. Weights end where those of :class:`torch.optim.Adam` do, up to
    rounding and the error of the sum, below 1 % of those moves; the state is the same, so that one can go on from a
    checkpoint of the other. A step takes time for the rows of the batch, not of the table.

    It does so for tables that it is told of, in single precision on a processor, where numba is installed and there is
    no weight decay, whose gradient all rows have. All others are updated by torch.

    Args:
        params: Parameters, or groups of them.
        lr: Learning rate.
        betas: Decay of the means of gradients and of their squares.
        eps: Added to the root of the squares.
        weight_decay: Added to the gradients, times the weights.
        fused: Whether torch updates the other parameters in one operation.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        fused: bool | None = None,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, fused=fused)
        self._rows: dict[nn.Parameter, AdamRows] = {}

    def connect(self, module: nn.Module) -> None:
        """Be the optimizer of the tables of a module that are among the parameters."""
        if not is_available():
            return
        from lightning_modules.optimizers.adam_rows import AdamRows  # compiles when it is first used

        own = {each for group in self.param_groups for each in group["params"]}
        for table in module.modules():
            if isinstance(table, LazyTable) and (weight := cast(nn.Parameter, table.weight)) in own:
                table.updates = self._rows[weight] = AdamRows(self, weight)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take a step; ``closure`` computes the gradients and returns the loss."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        lazy = [(rows, taken) for rows in self._rows.values() if (taken := rows.take_gradient()) is not None]
        if any(each.grad is not None for group in self.param_groups for each in group["params"]):
            super().step()
        for rows, taken in lazy:
            rows.step(*taken)
        return loss

    def state_dict(self) -> dict[str, Any]:
        """Return the state of all rows after the last step."""
        self._bring_up_all()
        return super().state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state, of this class or of torch's Adam."""
        self._bring_up_all()
        super().load_state_dict(state_dict)

    def _bring_up_all(self) -> None:
        for rows in self._rows.values():
            rows.bring_up_all()
