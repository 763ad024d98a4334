"""A function of one variable, tabulated together with its steps."""

from collections.abc import Callable

import torch
from torch import Tensor

#: Takes float [n] and returns float [n].
Function = Callable[[Tensor], Tensor]

# A step is at least so large, relative to the function, and so many times as large as what happens beside it.
_LEAST_STEP = 0.01
_LEAST_CONTRAST = 2.0
# Cutting a cell so often into so many parts, the two sides of a step become neighbours in single precision.
_CUTS = 5
_PARTS = 16


def cells_between(points: Tensor, function: Function) -> Tensor:
    """Tabulate a function between points.

    In a cell the function is one straight line up to a place and another behind it: the same, from point to point, or
    two where it makes a step, which is at the very number of single precision where the function makes it.

    Args:
        points: In order, float [points].
        function: May have steps, such as the derivative of a maximum.

    Returns:
        The place, value and steepness there of the line up to it, and those of the line behind it; float
        [points - 1, 5]. The first and the last cell are flat.
    """
    values = function(points)
    steepness = values.diff() / points.diff()
    steepness[0] = steepness[-1] = 0.0
    cells = torch.stack([points[:-1], values[:-1], steepness, values[:-1], steepness], dim=1)
    suspects = _suspects(values)
    if len(suspects):
        steps, is_step = _steps(points, values, suspects, function)
        cells[suspects[is_step]] = steps[is_step]
    return cells


def _suspects(values: Tensor) -> Tensor:
    """Return the numbers of the cells, neither the first nor the last, in which a step may be, int64 [suspects]."""
    change = values.diff().abs()
    beside = torch.minimum(change[:-2], change[2:])
    size = torch.maximum(values[1:-2].abs(), values[2:-1].abs())
    change = change[1:-1]
    return ((change > _LEAST_CONTRAST * beside) & (change > _LEAST_STEP * size)).nonzero().squeeze(1) + 1


def _steps(points: Tensor, values: Tensor, cells: Tensor, function: Function) -> tuple[Tensor, Tensor]:
    """Return cells with the step that is in them, and whether there is one that makes up half of their change."""
    ends = torch.stack([points[cells], points[cells + 1]], dim=1)
    at_ends = torch.stack([values[cells], values[cells + 1]], dim=1)
    places, at_places = ends, at_ends
    for _ in range(_CUTS):
        places, at_places = _steepest_part(places, at_places, function)
    # Beside the step, since at the step itself a function may have values of its own, such as those of a tie.
    beside = torch.lerp(places, ends, 1 / _PARTS)
    at_beside = function(beside.flatten()).view_as(beside)
    steepness = ((at_beside - at_ends) / (beside - ends)).nan_to_num(0.0, 0.0, 0.0)
    place = places[:, :1]
    lines = at_ends + steepness * (place - ends)
    is_step = lines.diff().abs() > at_ends.diff().abs() / 2
    return torch.cat([place, torch.stack([lines, steepness], dim=2).flatten(1)], dim=1), is_step.squeeze(1)


def _steepest_part(ends: Tensor, at_ends: Tensor, function: Function) -> tuple[Tensor, Tensor]:
    """Cut intervals, float [n, 2], into parts and return that of each in which the function changes most."""
    share = torch.linspace(0, 1, _PARTS + 1, device=ends.device)
    places = torch.lerp(ends[:, :1], ends[:, 1:], share)
    inner = function(places[:, 1:-1].flatten()).view(len(ends), -1)
    values = torch.cat([at_ends[:, :1], inner, at_ends[:, 1:]], dim=1)
    part = values.diff().abs().argmax(dim=1, keepdim=True)
    both = torch.cat([part, part + 1], dim=1)
    return places.gather(1, both), values.gather(1, both)
