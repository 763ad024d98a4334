"""Compiled gradients of a training step, of a factorisation or of a network on its rows, for every optimizer.

A *table* is float32 [rows, width]: row 0 holds the global bias in its last element, the others an embedding and a
bias. Optimizers are those of torch, which update every row in every step.
"""

import math

import numpy as np

from lightning_modules.populations.fused.clipping_kernels import clip
from lightning_modules.populations.fused.factor_kernels import gradients_of_factors, slopes_of_factors, slopes_of_logits
from lightning_modules.populations.fused.kernel_arguments import (
    ClippingLimits,
    Floats,
    Network,
    Rows,
    SlopeCells,
    StepPlan,
    Workspace,
)
from lightning_modules.populations.fused.network_kernels import network_gradients, network_logits
from lightning_modules.utilities.compiled import compiled_inline, compiled_part


@compiled_inline
def clipped_gradients(
    table: Floats,
    plan: StepPlan,
    step: int,
    slopes: SlopeCells,
    limits: ClippingLimits,
    slope: Floats,
    result: Floats,
    network: Network | None,
    work: Workspace | None,
) -> bool:
    """Write the slopes of a step and the clipped gradients of its rows; return whether all slopes were finite.

    The gradients of a network's weights are written into the network.
    """
    if network is None:
        total = slopes_of_factors(table, plan, step, slopes, slope)
    else:
        logit = network_logits(table, plan, step, network, work)  # type: ignore[arg-type]
        total = slopes_of_logits(logit, plan, step, slopes, slope)
    if not math.isfinite(total):
        return False
    if network is None:
        gradients_of_factors(table, plan, step, slope, total, result)
    else:
        network_gradients(plan, step, slope, network, work, result)  # type: ignore[arg-type]
    clip(result, plan.row_starts[step + 1] - plan.row_starts[step], limits, network)
    return True


@compiled_part
def all_rows(table: Floats) -> Rows:
    """Return the number of every row of a table."""
    rows = np.empty(len(table), np.int32)
    for row in range(len(table)):
        rows[row] = row
    return rows
