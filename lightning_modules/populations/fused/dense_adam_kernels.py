"""Compiled steps of Adam that update every weight."""

import math

import numpy as np

from lightning_modules.populations.fused.clipping_kernels import as_row
from lightning_modules.populations.fused.kernel_arguments import (
    AdamSettings,
    ClippingLimits,
    Floats,
    Network,
    Offsets,
    SlopeCells,
    StepPlan,
    Workspace,
)
from lightning_modules.populations.fused.step_kernels import clipped_gradients
from lightning_modules.utilities.compiled import compiled, compiled_inline, compiled_part


@compiled
def train_dense_adam(
    table: Floats,
    mean: Floats,
    square: Floats,
    plan: StepPlan,
    slopes: SlopeCells,
    limits: ClippingLimits,
    settings: AdamSettings,
    done: int,
    network: Network | None,
    work: Workspace | None,
) -> bool:
    """Take the steps of a plan with Adam whose weight decay is added to gradients; see lazy Adam's ``train_adam``."""
    gradients = np.zeros((plan.most_rows + 1, table.shape[1]), np.float32)
    places = np.full(len(table), plan.most_rows, np.int64)
    slope = np.empty(plan.most_samples, np.float32)
    for step in range(len(plan.steps) - 1):
        rows = plan.rows[plan.row_starts[step] : plan.row_starts[step + 1]]
        if not clipped_gradients(table, plan, step, slopes, limits, slope, gradients, network, work):
            return False
        for place in range(len(rows)):
            places[rows[place]] = place
        _step_dense_adam(table, mean, square, gradients, places, settings, done + step + 1)
        for row in rows:
            places[row] = plan.most_rows
        if network is not None:
            step_network_adam(network, settings, done + step + 1)
    return True


@compiled_inline
def step_network_adam(network: Network, settings: AdamSettings, now: int) -> None:
    """Update the trained weights of a network in a step, counted from 1."""
    gradients, mean, square = as_row(network.gradients), as_row(network.mean), as_row(network.square)
    weights = as_row(network.weights[: len(network.gradients)])
    _step_dense_adam(weights, mean, square, gradients, np.zeros(1, np.int64), settings, now)


@compiled_part
def _step_dense_adam(
    table: Floats,
    mean: Floats,
    square: Floats,
    gradients: Floats,
    places: Offsets,
    settings: AdamSettings,
    now: int,
) -> None:
    """Update every row; ``places`` says which gradient is that of a row, the last one being 0."""
    rate = np.float32(settings.learning_rate / (1 - settings.beta1**now))
    root_scale = np.float32(1 / math.sqrt(1 - settings.beta2**now))
    eps, weight_decay = np.float32(settings.eps), np.float32(settings.weight_decay)
    shrinkage = np.float32(settings.shrinkage)
    beta1, beta2 = np.float32(settings.beta1), np.float32(settings.beta2)
    mean_share, square_share = np.float32(1 - settings.beta1), np.float32(1 - settings.beta2)
    for row in range(len(table)):
        place = places[row]
        for column in range(table.shape[1]):
            gradient = gradients[place, column] + weight_decay * table[row, column]
            first = beta1 * mean[row, column] + mean_share * gradient
            second = beta2 * square[row, column] + square_share * gradient * gradient
            mean[row, column], square[row, column] = first, second
            move = rate * first / (np.sqrt(second) * root_scale + eps)
            table[row, column] = shrinkage * table[row, column] - move
