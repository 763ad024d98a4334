"""Tables of the derivatives of losses: piecewise linear functions of the logit, with their discontinuities."""

from collections.abc import Callable, Iterable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from lightning_modules.losses import Loss

#: Takes positions, float [n], and the number of the function to compute at each, int64 [n]; returns float [n].
Functions = Callable[[Tensor, Tensor], Tensor]

# The least size of a step, relative to the function, and its least ratio to the changes in the cells beside it.
_LEAST_STEP = 0.01
_LEAST_CONTRAST = 2.0
# Further out, steps are those of rounding: a probability near 1 is a few units of single precision away from it.
_FARTHEST_STEP = 10.0
# More steps of one function are those of rounding, too, where its values cancel out.
_MOST_STEPS = 16
# After so many cuts into so many parts, the two sides of a step are adjacent in single precision.
_CUTS = 3
_PARTS = 128
# How far beside a step the lines of its two sides are measured, as a share of the way to the ends of the cell.
_BESIDE = 1 / 16


def cells_between(points: Tensor, count: int, functions: Functions) -> Tensor:
    """Tabulate functions between points.

    In a cell a function is a straight line up to a position and another one behind it: the same line, from point to
    point, or two lines where the function has a step, whose position is exact in single precision.

    Args:
        points: In order, float [points].
        count: Number of functions.
        functions: May have a few steps between -10 and 10, such as the derivative of a maximum.

    Returns:
        The position, the value and slope there of the line up to it, and those of the line behind it; float
        [count * (points - 1), 5], one function after the other. The first and last cells of each are constant.
    """
    numbers = torch.arange(count, device=points.device).unsqueeze(1).expand(-1, len(points))
    values = functions(points.repeat(count), numbers.flatten()).view(count, -1)
    steepness = values.diff() / points.diff()
    steepness[:, 0] = steepness[:, -1] = 0.0
    begin = points[:-1].expand(count, -1)
    cells = torch.stack([begin, values[:, :-1], steepness, values[:, :-1], steepness], dim=2)
    suspects = _suspects(values, points)
    if suspects.any():
        ends = torch.stack([begin[suspects], points[1:].expand(count, -1)[suspects]], dim=1)
        at_ends = torch.stack([values[:, :-1][suspects], values[:, 1:][suspects]], dim=1)
        steps, is_step = _steps(ends, at_ends, numbers[:, :-1][suspects], functions)
        cells[suspects] = torch.where(is_step, steps, cells[suspects])
    return cells.flatten(0, 1)


def _suspects(values: Tensor, points: Tensor) -> Tensor:
    """Mark the inner cells that may contain a step, the largest of a function: -> bool [count, cells].

    Args:
        values: Of the functions, float [count, cells + 1].
        points: Float [cells + 1].
    """
    change = values.diff().abs()
    beside = torch.minimum(change[:, :-2], change[:, 2:])
    size = torch.maximum(values[:, 1:-2].abs(), values[:, 2:-1].abs())
    inner = change[:, 1:-1]
    suspects = (inner > _LEAST_CONTRAST * beside) & (inner > _LEAST_STEP * size)
    suspects &= points[1:-2].abs() < _FARTHEST_STEP
    largest = inner.masked_fill(~suspects, -1).topk(min(_MOST_STEPS, inner.shape[1]), dim=1).indices
    return F.pad(suspects & torch.zeros_like(suspects).scatter_(1, largest, value=True), (1, 1))


def _steps(ends: Tensor, at_ends: Tensor, numbers: Tensor, functions: Functions) -> tuple[Tensor, Tensor]:
    """Find the steps in cells.

    Args:
        ends: Begin and end of the cells, float [n, 2].
        at_ends: Values of the functions there, float [n, 2].
        numbers: Numbers of their functions, int64 [n].
        functions: The functions.

    Returns:
        The cells with a step, float [n, 5], and whether it is more than half of the change in them, [n, 1].
    """
    positions, at_positions = ends, at_ends
    for _ in range(_CUTS):
        positions, at_positions = _steepest_part(positions, at_positions, numbers, functions)
    # Beside the step, since at the step itself a function may have other values, such as those of a tie.
    beside = torch.lerp(positions, ends, _BESIDE)
    at_beside = functions(beside.flatten(), numbers.repeat_interleave(2)).view_as(beside)
    steepness = ((at_beside - at_ends) / (beside - ends)).nan_to_num(0.0, 0.0, 0.0)
    position = positions[:, :1]
    lines = at_ends + steepness * (position - ends)
    is_step = lines.diff().abs() > at_ends.diff().abs() / 2
    return torch.cat([position, torch.stack([lines, steepness], dim=2).flatten(1)], dim=1), is_step


def _steepest_part(ends: Tensor, at_ends: Tensor, numbers: Tensor, functions: Functions) -> tuple[Tensor, Tensor]:
    """Cut cells into parts and return the part of each in which its function changes most; see :func:`_steps`."""
    share = torch.linspace(0, 1, _PARTS + 1, device=ends.device)
    positions = torch.lerp(ends[:, :1], ends[:, 1:], share)
    inner = functions(positions[:, 1:-1].flatten(), numbers.repeat_interleave(_PARTS - 1)).view(len(ends), -1)
    values = torch.cat([at_ends[:, :1], inner, at_ends[:, 1:]], dim=1)
    part = values.diff().abs().argmax(dim=1, keepdim=True)
    both = torch.cat([part, part + 1], dim=1)
    return positions.gather(1, both), values.gather(1, both)


class SlopeTable:
    """Derivatives of K pointwise losses by the logit, each tabulated for both labels.

    For a label of 0 or 1 the derivative of a pointwise loss is a function of the logit alone. Autograd computes it at
    the points of a grid and it is interpolated between them; see :func:`cells_between`. The points are
    ``z = bend * u / (1 - |u|)`` for equidistant ``u`` between -1 and 1: dense where most logits are, and unbounded.

    Args:
        losses: The losses; the value of a sample must depend on its own prediction and label alone.
        device: Device of the table.
        points: Points of the grid, an even number, so that 0, where many formulas have a kink, is not one of them.
        bend: Half of the points lie between -bend and bend.

    Attributes:
        cells: What :func:`cells_between` returned for label 0 and label 1 of every loss, float [K * 2 * cells, 5].
        bend: See above.
        scale: Number of equidistant points over the length of a unit of ``u``.
        errors: The exception that each loss raised, as text; empty if none. A loss that raised one has nan derivatives.
    """

    def __init__(self, losses: Iterable[Loss], device: torch.device, *, points: int = 8192, bend: float = 8.0) -> None:
        self.bend = bend
        self._count = points - 1
        self.scale = (points + 1) / 2
        u = torch.linspace(-1, 1, points + 2, dtype=torch.float64, device=device)[1:-1]
        self._logit = (bend * u / (1 - u.abs())).float()
        # A loss that is trained with several settings is there several times.
        different = dict.fromkeys(losses := list(losses))
        tabulated = {loss: self._tabulated(loss) for loss in different}
        tables, self.errors = zip(*(tabulated[loss] for loss in losses), strict=True)
        self.cells = torch.cat(tables)
        self._start = torch.arange(len(tables), device=device) * 2 * self._count

    def slopes(self, logit: Tensor, label: Tensor) -> Tensor:
        """Return the derivative of every loss for every row: float [n, K] and 0/1 labels, float [n], -> [n, K]."""
        # The first point is one step behind u = -1.
        position = torch.div(logit, logit.abs().add_(self.bend)).mul_(self.scale).add_(self.scale - 1)
        cell = position.long().clamp_(0, self._count - 1)
        cell += (label.long() * self._count).unsqueeze(1) + self._start
        split, value, steepness, value_behind, steepness_behind = F.embedding(cell, self.cells).unbind(-1)
        distance = logit - split
        behind = distance > 0
        return torch.addcmul(
            torch.where(behind, value_behind, value), torch.where(behind, steepness_behind, steepness), distance
        )

    def _tabulated(self, loss: Loss) -> tuple[Tensor, str]:
        """Return the cells of label 0, then of label 1, float [2 * cells, 5], and the loss's exception as text."""
        try:
            return cells_between(self._logit, 2, partial(_slope, loss)), ""
        except Exception as error:  # an error of one loss must not affect the others
            return self._logit.new_full((2 * self._count, 5), torch.nan), f"{type(error).__name__}: {error}"


def _slope(loss: Loss, logit: Tensor, label: Tensor) -> Tensor:
    """Return a loss's derivative by the logit; nan where the loss itself is not finite."""
    with torch.enable_grad():
        logit = logit.detach().requires_grad_()
        value = loss.from_logit(logit, label.to(logit.dtype))
        (slope,) = torch.autograd.grad(value.sum(), logit)
    return slope.where(value.detach().isfinite(), torch.nan)
