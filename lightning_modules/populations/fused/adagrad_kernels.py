"""Compiled steps of Adagrad."""

import numpy as np

from lightning_modules.populations.fused.clipping_kernels import as_row
from lightning_modules.populations.fused.kernel_arguments import (
    AdagradSettings,
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
from lightning_modules.utilities.compiled import compiled, compiled_inline, compiled_part


@compiled
def train_adagrad(
    table: Floats,
    square: Floats,
    plan: StepPlan,
    slopes: SlopeCells,
    limits: ClippingLimits,
    settings: AdagradSettings,
    done: int,
    network: Network | None,
    work: Workspace | None,
) -> bool:
    """Take the steps of a plan with Adagrad; with weight decay every row is updated. See lazy Adam's ``train_adam``."""
    gradients = np.zeros((plan.most_rows + 1, table.shape[1]), np.float32)
    places = np.full(len(table), plan.most_rows, np.int64)
    everything = all_rows(table)
    slope = np.empty(plan.most_samples, np.float32)
    for step in range(len(plan.steps) - 1):
        rows = plan.rows[plan.row_starts[step] : plan.row_starts[step + 1]]
        rate = settings.learning_rate / (1 + (done + step) * settings.decay)
        if not clipped_gradients(table, plan, step, slopes, limits, slope, gradients, network, work):
            return False
        for place in range(len(rows)):
            places[rows[place]] = place
        updated = rows if settings.weight_decay == 0 else everything
        _step_adagrad(table, square, gradients, updated, places, settings, rate)
        for row in rows:
            places[row] = plan.most_rows
        if network is not None:
            _step_network_adagrad(network, settings, rate)
    return True


@compiled_part
def _step_adagrad(
    table: Floats,
    square: Floats,
    gradients: Floats,
    rows: Rows,
    places: Offsets,
    settings: AdagradSettings,
    learning_rate: float,
) -> None:
    """Update rows; ``places`` says which gradient is that of a row."""
    rate, eps = np.float32(learning_rate), np.float32(settings.eps)
    weight_decay = np.float32(settings.weight_decay)
    for row in rows:
        place = places[row]
        for column in range(table.shape[1]):
            gradient = gradients[place, column] + weight_decay * table[row, column]
            total = square[row, column] + gradient * gradient
            square[row, column] = total
            table[row, column] -= rate * gradient / (np.sqrt(total) + eps)


@compiled_inline
def _step_network_adagrad(network: Network, settings: AdagradSettings, learning_rate: float) -> None:
    gradients, square = as_row(network.gradients), as_row(network.square)
    weights, place = as_row(network.weights[: len(network.gradients)]), np.zeros(1, np.int64)
    _step_adagrad(weights, square, gradients, np.zeros(1, np.int32), place, settings, learning_rate)
