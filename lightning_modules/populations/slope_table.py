"""Derivatives of many losses by the logit, looked up instead of computed."""

from collections.abc import Iterable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from lightning_modules.losses import Loss
from lightning_modules.populations.cells import cells_between


class SlopeTable:
    """Derivatives of K pointwise losses by the logit, each tabulated for both labels.

    For a label of 0 or 1 the derivative of a loss of one prediction and its label is a function of the logit alone.
    Autograd computes it at the points of a grid, through the very function that would be trained on, and between them
    it is interpolated; see :func:`cells_between`. The points are ``z = bend * u / (1 - |u|)`` for a ``u`` in even
    steps between -1 and 1: close to one another where logits are, and without an end to either side.

    Args:
        losses: The losses; they may not depend on anything but a sample's own prediction and label.
        device: Where to compute them.
        points: Points of the grid, an even number, so that 0, the place of many formulas' kinks, is not one of them.
        bend: Half of the points lie between -bend and bend.

    Attributes:
        errors: What each loss raised when it was computed; empty if nothing. Such a loss has nan derivatives.
    """

    def __init__(
        self, losses: Iterable[Loss], device: torch.device, *, points: int = 16384, bend: float = 16.0
    ) -> None:
        self.bend = bend
        self._cells = points - 1
        self._scale = (points + 1) / 2
        u = torch.linspace(-1, 1, points + 2, dtype=torch.float64, device=device)[1:-1]
        self._logit = (bend * u / (1 - u.abs())).float()
        tables, self.errors = zip(*map(self._tabulated, losses), strict=True)
        self._table = torch.cat(tables)
        self._start = torch.arange(len(tables), device=device) * 2 * self._cells

    def __call__(self, logit: Tensor, label: Tensor) -> Tensor:
        """Return the derivative of every loss for every row: float [n, K] and 0/1 labels, float [n], -> [n, K]."""
        # The first of the points lies one step behind u = -1.
        position = torch.div(logit, logit.abs().add_(self.bend)).mul_(self._scale).add_(self._scale - 1)
        cell = position.long().clamp_(0, self._cells - 1)
        cell += (label.long() * self._cells).unsqueeze(1) + self._start
        place, value, steepness, value_behind, steepness_behind = F.embedding(cell, self._table).unbind(-1)
        distance = logit - place
        behind = distance > 0
        return torch.addcmul(
            torch.where(behind, value_behind, value), torch.where(behind, steepness_behind, steepness), distance
        )

    def _tabulated(self, loss: Loss) -> tuple[Tensor, str]:
        """Return the cells of label 0, then of label 1, float [2 * cells, 4], and what went wrong."""
        try:
            return cells_between(self._logit, 2, partial(_slope, loss)), ""
        except Exception as error:  # whatever a loss provokes is its own result, not that of the others
            return self._logit.new_full((2 * self._cells, 5), torch.nan), f"{type(error).__name__}: {error}"


def _slope(loss: Loss, logit: Tensor, label: Tensor) -> Tensor:
    """Return a loss's derivative by the logit; nan where the loss itself is not finite."""
    with torch.enable_grad():
        logit = logit.detach().requires_grad_()
        value = loss.from_logit(logit, label.to(logit.dtype))
        (slope,) = torch.autograd.grad(value.sum(), logit)
    return slope.where(value.detach().isfinite(), torch.nan)
