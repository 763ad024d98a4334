"""Compiled matrix factorisation: logits of samples, slopes of a step's losses, gradients of its rows."""

import numpy as np

from lightning_modules.populations.fused.kernel_arguments import Floats, Rows, SlopeCells, StepPlan
from lightning_modules.utilities.compiled import compiled, compiled_part


@compiled
def logits(table: Floats, user: Rows, item: Rows) -> Floats:
    """Return the logit of every sample, float32 [samples]."""
    bias = table.shape[1] - 1
    result = np.empty(len(user), np.float32)
    for sample in range(len(user)):
        result[sample] = logit_of(table, user[sample], item[sample], bias)
    return result


@compiled_part
def logit_of(table: Floats, user: int, item: int, bias: int) -> np.float32:
    """Return the logit of a sample; ``bias`` is the column of the biases."""
    logit: np.float32 = table[0, bias] + table[user, bias] + table[item, bias]
    for place in range(bias):
        logit += table[user, place] * table[item, place]
    return logit


@compiled_part
def slopes_of_factors(table: Floats, plan: StepPlan, step: int, slopes: SlopeCells, result: Floats) -> np.float32:
    """Write the derivative of the mean loss by every logit of a step, and return their sum."""
    first, end, bias = plan.steps[step], plan.steps[step + 1], table.shape[1] - 1
    users, items, labels = plan.user, plan.item, plan.label
    share, total = np.float32(1.0) / np.float32(end - first), np.float32(0.0)
    for sample in range(first, end):
        logit = logit_of(table, users[sample], items[sample], bias)
        slope = slope_of(slopes, logit, labels[sample]) * share
        result[sample - first] = slope
        total += slope
    return total


@compiled_part
def slopes_of_logits(logit: Floats, plan: StepPlan, step: int, slopes: SlopeCells, result: Floats) -> np.float32:
    """Write the derivative of the mean loss by every logit of a step, and return their sum."""
    first, labels = plan.steps[step], plan.label
    share, total = np.float32(1.0) / np.float32(len(logit)), np.float32(0.0)
    for sample in range(len(logit)):
        slope = slope_of(slopes, logit[sample], labels[first + sample]) * share
        result[sample] = slope
        total += slope
    return total


@compiled_part
def slope_of(slopes: SlopeCells, logit: np.float32, label: int) -> np.float32:
    """Return the derivative of the loss of a sample."""
    cells, bend, scale = slopes
    count = len(cells) // 2
    # The first point is one step behind the begin of the interval.
    position = logit / (abs(logit) + bend) * scale + (scale - np.float32(1.0))
    cell = label * count + min(int(max(position, np.float32(0.0))), count - 1)
    distance = logit - cells[cell, 0]
    line = 3 if distance > 0 else 1
    slope: np.float32 = cells[cell, line] + cells[cell, line + 1] * distance
    return slope


@compiled_part
def gradients_of_factors(
    table: Floats, plan: StepPlan, step: int, slopes: Floats, total: np.float32, result: Floats
) -> None:
    """Write the gradients of a step's rows, float32 [distinct, width].

    That of a row is the sum of the rows that it is multiplied with, each times the slope of the sample; ``total`` is
    that of the global bias.
    """
    first, first_read, bias = plan.steps[step], plan.row_starts[step], table.shape[1] - 1
    terms, others, term_starts = plan.terms, plan.others, plan.term_starts
    for read in range(first_read, plan.row_starts[step + 1]):
        row = read - first_read
        for place in range(bias + 1):
            result[row, place] = np.float32(0.0)
        for term in range(term_starts[read], term_starts[read + 1]):
            slope, other = slopes[terms[term] - first], others[term]
            for place in range(bias):
                result[row, place] += slope * table[other, place]
            result[row, bias] += slope
    result[0, bias] = total
