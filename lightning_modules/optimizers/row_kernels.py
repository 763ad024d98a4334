"""Compiled updates of those rows of a table that a batch reads, with Adam."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lightning_modules.optimizers.idle_moves import IdleTables, idle_points
from lightning_modules.utilities.compiled import compiled, compiled_part

_Floats = NDArray[np.float32]
_Integers = NDArray[np.int64]


class AdamTable(NamedTuple):
    """A table, and what Adam keeps of it.

    Attributes:
        weight: Float32 [rows, width].
        mean: Mean of the gradients at the row's last step, float32 [rows, width].
        square: Mean of their squares, float32 [rows, width].
        last: The step that each row has made last, from 1; 0 for none; int64 [rows].
    """

    weight: _Floats
    mean: _Floats
    square: _Floats
    last: _Integers


class RowSettings(NamedTuple):
    """Settings of Adam without weight decay."""

    learning_rate: float
    beta1: float
    beta2: float
    eps: float


@compiled
def catch_up(table: AdamTable, rows: _Integers, steps: int, idle: IdleTables, settings: RowSettings) -> None:
    """Make the moves of all steps so far that rows have not made, which may be named several times; int64 [n]."""
    for row in rows:
        # Whoever reads a row that is not there is told so by torch, not here.
        if 0 <= row < len(table.last) and table.last[row] < steps:
            _make_idle_moves(table, row, steps, idle, settings)


@compiled
def catch_up_all(table: AdamTable, steps: int, idle: IdleTables, settings: RowSettings) -> None:
    """Make the moves of all steps so far that any row has not made."""
    for row in range(len(table.last)):
        if table.last[row] < steps:
            _make_idle_moves(table, row, steps, idle, settings)


@compiled_part
def _make_idle_moves(table: AdamTable, row: int, steps: int, idle: IdleTables, settings: RowSettings) -> None:
    weight, mean, square, last = table
    begin = last[row] + 1
    first, second, node, node_2 = idle_points(idle, begin, steps + 1)
    # The moments of the first of these steps are those of the last one with less weight.
    scale = settings.learning_rate * settings.beta1
    point, point_2, shrinkage = np.float32(scale * first), np.float32(scale * second), np.float32(settings.beta2**0.5)
    eps, eps_2 = np.float32(settings.eps * node), np.float32(settings.eps * node_2)
    idle_steps = steps + 1 - begin
    mean_decay = np.float32(idle.mean_decay[min(idle_steps, len(idle.mean_decay) - 1)])
    square_decay = np.float32(idle.square_decay[min(idle_steps, len(idle.square_decay) - 1)])
    for column in range(weight.shape[1]):
        before, before_square = mean[row, column], square[row, column]
        root = shrinkage * np.sqrt(before_square)
        below, below_2 = root + eps, root + eps_2
        # Both quotients over one denominator: a division takes as long as ten multiplications.
        weight[row, column] -= before * (point * below_2 + point_2 * below) / (below * below_2)
        mean[row, column] = mean_decay * before
        square[row, column] = square_decay * before_square
    last[row] = steps


@compiled
def step_rows(
    table: AdamTable,
    rows: _Integers,
    gradients: _Floats,
    steps: int,
    idle: IdleTables,
    settings: RowSettings,
    place: _Integers,
    sums: _Floats,
) -> None:
    """Make one step of Adam with the rows that have a gradient.

    Args:
        table: The table, whose rows are brought up to date.
        rows: The row of every gradient, one row perhaps several times, int64 [n].
        gradients: Float32 [n, width].
        steps: Number of earlier steps.
        idle: Sums of idle moves.
        settings: Adam's settings.
        place: Memory, -1 for every row of the table, and left so; int64 [rows].
        sums: Memory, float32 [n, width].
    """
    distinct = _add_up(rows, gradients, place, sums)
    for row in distinct:
        place[row] = -1
        if table.last[row] < steps:
            _make_idle_moves(table, row, steps, idle, settings)
    _step(table, distinct, sums, steps + 1, settings)


@compiled_part
def _add_up(rows: _Integers, gradients: _Floats, place: _Integers, sums: _Floats) -> _Integers:
    """Add up the gradients of every row, and return the distinct rows; ``place`` says where each one's sum is."""
    distinct, count = np.empty_like(rows), 0
    for number in range(len(rows)):
        row = rows[number]
        if place[row] < 0:
            place[row] = count
            distinct[count] = row
            sums[count] = gradients[number]
            count += 1
        else:
            for column in range(gradients.shape[1]):
                sums[place[row], column] += gradients[number, column]
    return distinct[:count]


@compiled_part
def _step(table: AdamTable, rows: _Integers, gradients: _Floats, step: int, settings: RowSettings) -> None:
    """Make the step of some rows, each named once."""
    weight, mean, square, last = table
    kept, kept_square = np.float32(settings.beta1), np.float32(settings.beta2)
    share, square_share = np.float32(1 - settings.beta1), np.float32(1 - settings.beta2)
    rate = np.float32(settings.learning_rate / (1 - settings.beta1**step))
    correction, eps = np.float32(1 / (1 - settings.beta2**step) ** 0.5), np.float32(settings.eps)
    for place in range(len(rows)):
        row = rows[place]
        for column in range(weight.shape[1]):
            slope = gradients[place, column]
            new_mean = kept * mean[row, column] + share * slope
            new_square = kept_square * square[row, column] + square_share * slope * slope
            mean[row, column], square[row, column] = new_mean, new_square
            weight[row, column] -= rate * new_mean / (correction * np.sqrt(new_square) + eps)
        last[row] = step
