"""What the compiled kernels are given: tables of numbers and settings."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Rows = NDArray[np.int32]
Offsets = NDArray[np.int64]


class StepPlan(NamedTuple):
    """The rows that every step reads, and which samples read them.

    Attributes:
        user: Row of each sample's user, int32 [samples], in the order of the steps.
        item: Row of each sample's item.
        label: 0 or 1, int32 [samples].
        steps: First sample of each step, and the number of samples; int64 [steps + 1].
        rows: The distinct rows of each step, row 0 first; int32 [reads].
        row_starts: First of them of each step; int64 [steps + 1].
        terms: The samples that read each of them, int32 [2 * samples].
        others: The other row of that sample, int32 [2 * samples].
        term_starts: First term of each distinct row; int64 [reads + 1].
        most_rows: The largest number of distinct rows in a step.
        most_samples: The largest number of samples in a step.
    """

    user: Rows
    item: Rows
    label: Rows
    steps: Offsets
    rows: Rows
    row_starts: Offsets
    terms: Rows
    others: Rows
    term_starts: Offsets
    most_rows: int
    most_samples: int


class SlopeCells(NamedTuple):
    """The cells of one loss in a :class:`~lightning_modules.populations.gradient_table.SlopeTable`.

    Attributes:
        cells: The loss's cells for label 0, then for label 1; float32 [2 * cells, 5].
        bend: Half of the points lie between -bend and bend.
        scale: Number of points over the length of the interval that they are equidistant in.
    """

    cells: Floats
    bend: np.float32
    scale: np.float32


class ClippingLimits(NamedTuple):
    """Limits of gradients: of every element, and of the norm of all; inf is none."""

    value: np.float32
    norm: np.float32


class IdleTables(NamedTuple):
    """What :func:`~lightning_modules.populations.fused.idle_moves.idle_tables` returns.

    Attributes:
        totals: Sums of the moves from each step to infinity, for four powers; float64 [4, steps].
        powers: The decay of those sums over a number of steps; float64 [4, steps].
        mean_decay: The decay of the mean over a number of steps; float64 [steps].
        square_decay: The decay of the squares over a number of steps; float64 [steps].
    """

    totals: Doubles
    powers: Doubles
    mean_decay: Doubles
    square_decay: Doubles


class AdamSettings(NamedTuple):
    """Settings of Adam; ``shrinkage`` is what decoupled weight decay leaves of a weight in a step."""

    learning_rate: float
    beta1: float
    beta2: float
    eps: float
    shrinkage: float
    weight_decay: float


class AdagradSettings(NamedTuple):
    """Settings of Adagrad."""

    learning_rate: float
    decay: float
    eps: float
    weight_decay: float
