"""Functions of one variable, tabulated together with their steps."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

#: Takes places, float [n], and the numbers of the functions that are asked for there, int64 [n]; returns float [n].
Functions = Callable[[Tensor, Tensor], Tensor]

# A step is at least so large, relative to the function, and so many times as large as what happens beside it.
_LEAST_STEP = 0.01
_LEAST_CONTRAST = 2.0
# Cutting a cell so often into so many parts, the two sides of a step become neighbours in single precision.
_CUTS = 5
_PARTS = 16


def cells_between(points: Tensor, count: int, functions: Functions) -> Tensor:
    """Tabulate functions between points.

    In a cell a function is one straight line up to a place and another behind it: the same, from point to point, or
    two where it makes a step, which is at the very number of single precision where the function makes it.

    Args:
        points: In order, float [points].
        count: Number of functions.
        functions: May have steps, such as the derivative of a maximum.

    Returns:
        The place, value and steepness there of the line up to it, and those of the line behind it; float
        [count * (points - 1), 5], one function after the other. Their first and last cells are flat.
    """
    numbers = torch.arange(count, device=points.device).unsqueeze(1).expand(-1, len(points))
    values = functions(points.repeat(count), numbers.flatten()).view(count, -1)
    steepness = values.diff() / points.diff()
    steepness[:, 0] = steepness[:, -1] = 0.0
    begin = points[:-1].expand(count, -1)
    cells = torch.stack([begin, values[:, :-1], steepness, values[:, :-1], steepness], dim=2)
    suspects = _suspects(values)
    if suspects.any():
        ends = torch.stack([begin[suspects], points[1:].expand(count, -1)[suspects]], dim=1)
        at_ends = torch.stack([values[:, :-1][suspects], values[:, 1:][suspects]], dim=1)
        steps, is_step = _steps(ends, at_ends, numbers[:, :-1][suspects], functions)
        cells[suspects] = torch.where(is_step, steps, cells[suspects])
    return cells.flatten(0, 1)


def _suspects(values: Tensor) -> Tensor:
    """Tell in which inner cells a step may be: float [count, cells + 1] -> bool [count, cells]."""
    change = values.diff().abs()
    beside = torch.minimum(change[:, :-2], change[:, 2:])
    size = torch.maximum(values[:, 1:-2].abs(), values[:, 2:-1].abs())
    inner = change[:, 1:-1]
    return F.pad((inner > _LEAST_CONTRAST * beside) & (inner > _LEAST_STEP * size), (1, 1))


def _steps(ends: Tensor, at_ends: Tensor, numbers: Tensor, functions: Functions) -> tuple[Tensor, Tensor]:
    """Find the steps in cells.

    Args:
        ends: Where the cells begin and end, float [n, 2].
        at_ends: The functions' values there, float [n, 2].
        numbers: Numbers of their functions, int64 [n].
        functions: The functions.

    Returns:
        The cells with a step, float [n, 5], and whether it makes up half of the change in them, [n, 1].
    """
    places, at_places = ends, at_ends
    for _ in range(_CUTS):
        places, at_places = _steepest_part(places, at_places, numbers, functions)
    # Beside the step, since at the step itself a function may have values of its own, such as those of a tie.
    beside = torch.lerp(places, ends, 1 / _PARTS)
    at_beside = functions(beside.flatten(), numbers.repeat_interleave(2)).view_as(beside)
    steepness = ((at_beside - at_ends) / (beside - ends)).nan_to_num(0.0, 0.0, 0.0)
    place = places[:, :1]
    lines = at_ends + steepness * (place - ends)
    is_step = lines.diff().abs() > at_ends.diff().abs() / 2
    return torch.cat([place, torch.stack([lines, steepness], dim=2).flatten(1)], dim=1), is_step


def _steepest_part(ends: Tensor, at_ends: Tensor, numbers: Tensor, functions: Functions) -> tuple[Tensor, Tensor]:
    """Cut cells into parts and return that of each in which its function changes most; see :func:`_steps`."""
    share = torch.linspace(0, 1, _PARTS + 1, device=ends.device)
    places = torch.lerp(ends[:, :1], ends[:, 1:], share)
    inner = functions(places[:, 1:-1].flatten(), numbers.repeat_interleave(_PARTS - 1)).view(len(ends), -1)
    values = torch.cat([at_ends[:, :1], inner, at_ends[:, 1:]], dim=1)
    part = values.diff().abs().argmax(dim=1, keepdim=True)
    both = torch.cat([part, part + 1], dim=1)
    return places.gather(1, both), values.gather(1, both)
