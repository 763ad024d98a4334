"""Compiled steps of lazy Adam.

It updates a row of a table only in the steps that read it, and first makes the updates that are due from the steps
between; see :func:`lightning_modules.optimizers.idle_moves.idle_tables`.
"""

import numpy as np

from lightning_modules.optimizers.idle_moves import IdleTables, idle_points
from lightning_modules.populations.fused.dense_adam_kernels import step_network_adam
from lightning_modules.populations.fused.kernel_arguments import (
    AdamSettings,
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

# Columns of the coefficients of a row's idle updates.
_WEIGHT, _WEIGHT_2, _EPS, _EPS_2, _MEAN, _SQUARE, _SHRINKAGE, _COLUMNS = range(8)


@compiled
def idle_coefficients(last: Offsets, plan: StepPlan, idle: IdleTables, settings: AdamSettings, done: int) -> Floats:
    """Return what the idle updates before every step of a plan do to the rows that it reads.

    They are the same whatever the weights and the loss are.

    Args:
        last: Number of each row's last step, from 1; 0 for none. The plan's steps are added.
        plan: The steps.
        idle: Sums of idle moves.
        settings: Adam's settings.
        done: Number of earlier steps.

    Returns:
        The coefficients of every row of :func:`_write_coefficients`, float32 [reads, columns].
    """
    result = np.empty((len(plan.rows), _COLUMNS), np.float32)
    for step in range(len(plan.steps) - 1):
        now, first, end = done + step + 1, plan.row_starts[step], plan.row_starts[step + 1]
        rows = plan.rows[first:end]
        _write_coefficients(rows, last, now, idle, settings, result[first:end])
        for row in rows:
            last[row] = now
    return result


@compiled_part
def _write_coefficients(
    rows: Rows, last: Offsets, now: int, idle: IdleTables, settings: AdamSettings, result: Floats
) -> None:
    """Write what the updates of the steps from the last one of each row to the one before ``now`` do to it.

    A weight is multiplied by the shrinkage, then ``mean * (weight / (root + eps) + weight_2 / (root + eps_2))`` is
    taken off it, where ``root`` is that of its squares. The result has a row of :data:`_COLUMNS` for each row.
    """
    mean_decay, square_decay = idle.mean_decay, idle.square_decay
    learning_rate, eps, kept = settings.learning_rate, settings.eps, settings.shrinkage
    for place in range(len(rows)):
        begin = last[rows[place]]
        steps = now - begin
        result[place, _MEAN] = mean_decay[min(steps, len(mean_decay) - 1)]
        result[place, _SQUARE] = square_decay[min(steps, len(square_decay) - 1)]
        # A row that was never trained has had no gradient, but every step before this one has shrunk it.
        shrinkage = kept ** (steps - (begin == 0)) if kept != 1.0 else 1.0
        result[place, _SHRINKAGE] = shrinkage
        result[place, _WEIGHT], result[place, _WEIGHT_2] = 0.0, 0.0
        result[place, _EPS], result[place, _EPS_2] = 1.0, 1.0
        if begin > 0:
            weight, weight_2, node, node_2 = idle_points(idle, begin, now)
            scale = learning_rate * shrinkage / kept
            result[place, _WEIGHT], result[place, _WEIGHT_2] = scale * weight, scale * weight_2
            result[place, _EPS], result[place, _EPS_2] = eps * node, eps * node_2


@compiled_part
def _make_idle_updates(table: Floats, mean: Floats, square: Floats, rows: Rows, coefficients: Floats) -> None:
    """Make the updates that are due to the weights of rows; the moments stay those of a row's last step."""
    for place in range(len(rows)):
        row = rows[place]
        weight, weight_2 = coefficients[place, _WEIGHT], coefficients[place, _WEIGHT_2]
        eps, eps_2 = coefficients[place, _EPS], coefficients[place, _EPS_2]
        shrinkage = coefficients[place, _SHRINKAGE]
        for column in range(table.shape[1]):
            root = np.sqrt(square[row, column])
            first, second = root + eps, root + eps_2
            # Both quotients over one denominator: a division takes as long as ten multiplications.
            moves = mean[row, column] * (weight * second + weight_2 * first) / (first * second)
            table[row, column] = shrinkage * table[row, column] - moves


@compiled_part
def _add_to_moments(
    gradients: Floats, mean: Floats, square: Floats, rows: Rows, coefficients: Floats, settings: AdamSettings
) -> None:
    mean_share, square_share = np.float32(1 - settings.beta1), np.float32(1 - settings.beta2)
    for place in range(len(rows)):
        row = rows[place]
        mean_decay, square_decay = coefficients[place, _MEAN], coefficients[place, _SQUARE]
        for column in range(gradients.shape[1]):
            gradient = gradients[place, column]
            mean[row, column] = mean_decay * mean[row, column] + mean_share * gradient
            square[row, column] = square_decay * square[row, column] + square_share * gradient * gradient


@compiled
def train_adam(
    table: Floats,
    mean: Floats,
    square: Floats,
    plan: StepPlan,
    coefficients: Floats,
    slopes: SlopeCells,
    limits: ClippingLimits,
    settings: AdamSettings,
    done: int,
    network: Network | None,
    work: Workspace | None,
) -> bool:
    """Take the steps of a plan with lazy Adam or AdamW.

    Args:
        table: The weights, up to the step before a row's last one.
        mean: Mean of the gradients at that step, as large as the table.
        square: Mean of their squares at that step.
        plan: The steps.
        coefficients: Those of :func:`idle_coefficients`.
        slopes: The derivatives of the loss.
        limits: Clipping of the gradients.
        settings: Adam's settings.
        done: Number of earlier steps.
        network: The layers on the rows; none for a factorisation, whose logit is their product.
        work: Memory for the network.

    Returns:
        Whether all slopes were finite; training ends where one is not.
    """
    gradients = np.empty((plan.most_rows, table.shape[1]), np.float32)
    slope = np.empty(plan.most_samples, np.float32)
    for step in range(len(plan.steps) - 1):
        first, end = plan.row_starts[step], plan.row_starts[step + 1]
        rows, idle = plan.rows[first:end], coefficients[first:end]
        _make_idle_updates(table, mean, square, rows, idle)
        if not clipped_gradients(table, plan, step, slopes, limits, slope, gradients, network, work):
            return False
        _add_to_moments(gradients, mean, square, rows, idle, settings)
        if network is not None:
            step_network_adam(network, settings, done + step + 1)
    return True


@compiled
def adam_weights(
    table: Floats, mean: Floats, square: Floats, last: Offsets, idle: IdleTables, settings: AdamSettings, done: int
) -> Floats:
    """Return the weights after ``done`` steps, with the updates that are due in the table.

    See :func:`train_adam` and :func:`idle_coefficients`.
    """
    result, coefficients = table.copy(), np.empty((len(table), _COLUMNS), np.float32)
    rows = all_rows(table)
    _write_coefficients(rows, last, done + 1, idle, settings, coefficients)
    _make_idle_updates(result, mean, square, rows, coefficients)
    return result
