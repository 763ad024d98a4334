"""Compiled steps of stochastic gradient descent."""

import numpy as np

from lightning_modules.populations.fused.clipping_kernels import as_row
from lightning_modules.populations.fused.kernel_arguments import (
    ClippingLimits,
    Floats,
    Network,
    Offsets,
    Rows,
    SlopeCells,
    StepPlan,
    Workspace,
)
from lightning_modules.populations.fused.step_kernels import all_rows, clipped_gradients
from lightning_modules.utilities.compiled import compiled, compiled_part


@compiled_part
def _shrink(table: Floats, rows: Rows, last: Offsets, now: int, shrinkage: float) -> None:
    """Make the weight decay of the steps from the one after each row's last one up to ``now``."""
    for row in rows:
        factor = np.float32(shrinkage ** (now - last[row]))
        for column in range(table.shape[1]):
            table[row, column] *= factor


@compiled
def train_sgd(
    table: Floats,
    last: Offsets,
    plan: StepPlan,
    slopes: SlopeCells,
    limits: ClippingLimits,
    learning_rate: float,
    shrinkage: float,
    done: int,
    network: Network | None,
    work: Workspace | None,
) -> bool:
    """Take the steps of a plan with SGD; ``shrinkage`` is what weight decay leaves of a weight in a step.

    ``last`` is the step up to which each row is up to date; see lazy Adam's ``train_adam``.
    """
    gradients = np.empty((plan.most_rows, table.shape[1]), np.float32)
    slope = np.empty(plan.most_samples, np.float32)
    for step in range(len(plan.steps) - 1):
        now = done + step + 1
        rows = plan.rows[plan.row_starts[step] : plan.row_starts[step + 1]]
        if shrinkage != 1.0:
            _shrink(table, rows, last, now - 1, shrinkage)
        if not clipped_gradients(table, plan, step, slopes, limits, slope, gradients, network, work):
            return False
        _step_sgd(table, gradients, rows, np.float32(learning_rate), np.float32(shrinkage))
        for row in rows:
            last[row] = now
        if network is not None:
            weights, place = as_row(network.weights[: len(network.gradients)]), np.zeros(1, np.int32)
            own = as_row(network.gradients)
            _step_sgd(weights, own, place, np.float32(learning_rate), np.float32(shrinkage))
    return True


@compiled_part
def _step_sgd(table: Floats, gradients: Floats, rows: Rows, rate: np.float32, shrinkage: np.float32) -> None:
    for place in range(len(rows)):
        row = rows[place]
        for column in range(table.shape[1]):
            table[row, column] = shrinkage * table[row, column] - rate * gradients[place, column]


@compiled
def sgd_weights(table: Floats, last: Offsets, shrinkage: float, done: int) -> Floats:
    """Return the weights after ``done`` steps, with the weight decay that is due in the table."""
    result = table.copy()
    _shrink(result, all_rows(table), last, done, shrinkage)
    return result
