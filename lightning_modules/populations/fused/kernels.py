"""Compiled kernels: the training steps of one factorisation, or of a network on its rows, with each optimizer.

A *table* is float32 [rows, width]: row 0 holds the global bias in its last element, the others an embedding and a
bias. Optimizers are those of torch, which update every row in every step; a *lazy* one updates a row only in the steps
that read it, and first makes the updates that are due from the steps between; see
:func:`lightning_modules.populations.fused.idle_moves.idle_tables`.
"""

import math

import numpy as np

from lightning_modules.populations.fused.kernel_arguments import (
    AdagradSettings,
    AdamSettings,
    ClippingLimits,
    Doubles,
    Floats,
    IdleTables,
    Network,
    Offsets,
    Rows,
    SlopeCells,
    StepPlan,
)
from lightning_modules.populations.fused.network_kernels import (
    Workspace,
    network_gradients,
    network_logits,
    workspace,
)
from lightning_modules.utilities.compiled import compiled, compiled_inline, compiled_part

# Columns of the coefficients of a row's idle updates.
_WEIGHT, _WEIGHT_2, _EPS, _EPS_2, _MEAN, _SQUARE, _SHRINKAGE, _COLUMNS = range(8)

# A variance below this, relative to the squared mean, is that of a single move, or negligible.
_LEAST_VARIANCE = 1e-9


@compiled
def plan_steps(user: Rows, item: Rows, label: Rows, steps: Offsets, num_rows: int) -> StepPlan:
    """Return the plan of the steps that begin at the samples ``steps``; the last element is the number of samples."""
    samples, count = len(user), len(steps) - 1
    rows = np.empty(2 * samples + count, np.int32)
    row_starts = np.zeros(count + 1, np.int64)
    terms, others = np.empty(2 * samples, np.int32), np.empty(2 * samples, np.int32)
    item_starts, term_starts = np.empty(count, np.int64), np.empty(2 * samples + count + 1, np.int64)
    places, sizes = np.full(num_rows, -1, np.int64), np.zeros(2 * samples + count, np.int64)
    reads, most_rows, most_samples = 0, 0, 0
    for step in range(count):
        first, end, first_read = steps[step], steps[step + 1], reads
        rows[reads] = 0
        reads += 1
        for column in (user, item):
            item_starts[step] = reads
            for row in column[first:end]:
                if places[row] < first_read:
                    places[row] = reads
                    rows[reads] = row
                    reads += 1
                sizes[places[row]] += 1
        term = 2 * first
        for read in range(first_read, reads):
            term_starts[read] = term
            term += sizes[read]
            sizes[read] = 0
        for sample in range(first, end):
            for row, other in ((user[sample], item[sample]), (item[sample], user[sample])):
                read = places[row]
                place = term_starts[read] + sizes[read]
                terms[place], others[place] = sample, other
                sizes[read] += 1
        row_starts[step + 1] = reads
        most_rows, most_samples = max(most_rows, reads - first_read), max(most_samples, end - first)
    term_starts[reads] = 2 * samples
    rows, term_starts = rows[:reads], term_starts[: reads + 1]
    readers = rows, row_starts, item_starts, terms, others, term_starts
    no_draws = np.empty(0, np.int16), np.empty((0, 0), np.int64)
    return StepPlan(user, item, label, steps, *readers, most_rows, most_samples, *no_draws)


@compiled
def logits(table: Floats, user: Rows, item: Rows) -> Floats:
    """Return the logit of every sample, float32 [samples]."""
    bias = table.shape[1] - 1
    result = np.empty(len(user), np.float32)
    for sample in range(len(user)):
        result[sample] = _logit(table, user[sample], item[sample], bias)
    return result


@compiled_part
def _logit(table: Floats, user: int, item: int, bias: int) -> np.float32:
    logit: np.float32 = table[0, bias] + table[user, bias] + table[item, bias]
    for place in range(bias):
        logit += table[user, place] * table[item, place]
    return logit


@compiled_part
def _slopes_of_step(table: Floats, plan: StepPlan, step: int, slopes: SlopeCells, result: Floats) -> np.float32:
    """Write the derivative of the mean loss by every logit of a step, and return their sum."""
    first, end, bias = plan.steps[step], plan.steps[step + 1], table.shape[1] - 1
    users, items, labels = plan.user, plan.item, plan.label
    share, total = np.float32(1.0) / np.float32(end - first), np.float32(0.0)
    for sample in range(first, end):
        logit = _logit(table, users[sample], items[sample], bias)
        slope = _slope(slopes, logit, labels[sample]) * share
        result[sample - first] = slope
        total += slope
    return total


@compiled_part
def _slopes_of_logits(logit: Floats, plan: StepPlan, step: int, slopes: SlopeCells, result: Floats) -> np.float32:
    """Write the derivative of the mean loss by every logit of a step, and return their sum."""
    first, labels = plan.steps[step], plan.label
    share, total = np.float32(1.0) / np.float32(len(logit)), np.float32(0.0)
    for sample in range(len(logit)):
        slope = _slope(slopes, logit[sample], labels[first + sample]) * share
        result[sample] = slope
        total += slope
    return total


@compiled_part
def _slope(slopes: SlopeCells, logit: np.float32, label: int) -> np.float32:
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
def _gradients(table: Floats, plan: StepPlan, step: int, slopes: Floats, total: np.float32, result: Floats) -> None:
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


@compiled_part
def _clamp(gradients: Floats, rows: int, largest: np.float32) -> None:
    for row in range(rows):
        for place in range(gradients.shape[1]):
            gradients[row, place] = min(max(gradients[row, place], -largest), largest)


@compiled_part
def _squared_norm(gradients: Floats, rows: int) -> np.float32:
    squares = np.float32(0.0)
    for row in range(rows):
        for place in range(gradients.shape[1]):
            squares += gradients[row, place] * gradients[row, place]
    return squares


@compiled_part
def _multiply(gradients: Floats, rows: int, factor: np.float32) -> None:
    for row in range(rows):
        for place in range(gradients.shape[1]):
            gradients[row, place] *= factor


@compiled_part
def _clip(gradients: Floats, rows: int, limits: ClippingLimits, network: Network | None) -> None:
    """Clip the first rows of the gradients, and those of the network, in place, as torch does."""
    if limits.value < np.inf:
        _clamp(gradients, rows, limits.value)
        if network is not None:
            _clamp(_as_row(network.gradients), 1, limits.value)
    if limits.norm < np.inf:
        squares = _squared_norm(gradients, rows)
        if network is not None:
            squares += _squared_norm(_as_row(network.gradients), 1)
        scale = limits.norm / (np.sqrt(squares) + np.float32(1e-6))
        if scale < 1.0:
            _multiply(gradients, rows, scale)
            if network is not None:
                _multiply(_as_row(network.gradients), 1, scale)


@compiled_part
def _as_row(weights: Floats) -> Floats:
    """Return weights as a table of one row."""
    return weights.reshape(1, len(weights))


@compiled_inline
def _memory(plan: StepPlan, width: int, network: Network | None) -> Workspace | None:
    """Return what the steps need for a network."""
    if network is None:
        return None
    return workspace(network, plan.most_rows, plan.most_samples, width)


@compiled_inline
def _clipped_gradients(
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
        total = _slopes_of_step(table, plan, step, slopes, slope)
    else:
        logit = network_logits(table, plan, step, network, work)  # type: ignore[arg-type]  # see _memory
        total = _slopes_of_logits(logit, plan, step, slopes, slope)
    if not math.isfinite(total):
        return False
    if network is None:
        _gradients(table, plan, step, slope, total, result)
    else:
        network_gradients(plan, step, slope, network, work, result)  # type: ignore[arg-type]
    _clip(result, plan.row_starts[step + 1] - plan.row_starts[step], limits, network)
    return True


@compiled_part
def _idle_coefficients(
    rows: Rows, last: Offsets, now: int, idle: IdleTables, settings: AdamSettings, result: Doubles
) -> None:
    """Write what the updates of the steps from the last one of each row to the one before ``now`` do to it.

    A weight is multiplied by the shrinkage, then ``mean * (weight / (root + eps) + weight_2 / (root + eps_2))`` is
    taken off it, where ``root`` is that of its squares. The result has a row of :data:`_COLUMNS` for each row.
    """
    totals, powers, mean_decay, square_decay = idle
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
            begin, end = min(begin, totals.shape[1] - 1), min(now, totals.shape[1] - 1)
            decay = min(steps, powers.shape[1] - 1)
            total = totals[0, begin] - powers[0, decay] * totals[0, end]
            mean = (totals[1, begin] - powers[1, decay] * totals[1, end]) / total
            square = (totals[2, begin] - powers[2, decay] * totals[2, end]) / total
            cube = (totals[3, begin] - powers[3, decay] * totals[3, end]) / total
            above, below, deviation = _quadrature(mean, square, cube)
            node, node_2 = mean + deviation * above, mean + deviation * below
            scale = learning_rate * shrinkage / kept * total
            result[place, _WEIGHT] = scale * node * node / (1 + above * above)
            result[place, _WEIGHT_2] = scale * node_2 * node_2 / (1 + below * below)
            result[place, _EPS], result[place, _EPS_2] = eps * node, eps * node_2


@compiled_part
def _quadrature(mean: float, square: float, cube: float) -> tuple[float, float, float]:
    """Return the two nodes of a distribution with these moments, in deviations from the mean, and the deviation."""
    variance, deviation, half_skewness = square - mean * mean, 0.0, 0.0
    # The variance and skewness of one move are rounding errors.
    if variance > _LEAST_VARIANCE * mean * mean:
        deviation = math.sqrt(variance)
        half_skewness = 0.5 * (cube - mean * (3 * variance + mean * mean)) / (variance * deviation)
    distance = math.sqrt(half_skewness * half_skewness + 1)
    return half_skewness + distance, half_skewness - distance, deviation


@compiled_part
def _make_idle_updates(table: Floats, mean: Floats, square: Floats, rows: Rows, coefficients: Doubles) -> None:
    """Make the updates that are due to the weights of rows; the moments stay those of a row's last step."""
    for place in range(len(rows)):
        row = rows[place]
        weight, weight_2 = np.float32(coefficients[place, _WEIGHT]), np.float32(coefficients[place, _WEIGHT_2])
        eps, eps_2 = np.float32(coefficients[place, _EPS]), np.float32(coefficients[place, _EPS_2])
        shrinkage = np.float32(coefficients[place, _SHRINKAGE])
        for column in range(table.shape[1]):
            root = np.sqrt(square[row, column])
            first, second = root + eps, root + eps_2
            # Both quotients over one denominator: a division takes as long as ten multiplications.
            moves = mean[row, column] * (weight * second + weight_2 * first) / (first * second)
            table[row, column] = shrinkage * table[row, column] - moves


@compiled_part
def _add_to_moments(
    gradients: Floats, mean: Floats, square: Floats, rows: Rows, coefficients: Doubles, settings: AdamSettings
) -> None:
    mean_share, square_share = np.float32(1 - settings.beta1), np.float32(1 - settings.beta2)
    for place in range(len(rows)):
        row = rows[place]
        mean_decay, square_decay = np.float32(coefficients[place, _MEAN]), np.float32(coefficients[place, _SQUARE])
        for column in range(gradients.shape[1]):
            gradient = gradients[place, column]
            mean[row, column] = mean_decay * mean[row, column] + mean_share * gradient
            square[row, column] = square_decay * square[row, column] + square_share * gradient * gradient


@compiled_part
def _all_rows(table: Floats) -> Rows:
    rows = np.empty(len(table), np.int32)
    for row in range(len(table)):
        rows[row] = row
    return rows


@compiled
def train_adam(
    table: Floats,
    mean: Floats,
    square: Floats,
    last: Offsets,
    plan: StepPlan,
    slopes: SlopeCells,
    limits: ClippingLimits,
    idle: IdleTables,
    settings: AdamSettings,
    done: int,
    network: Network | None,
) -> bool:
    """Take the steps of a plan with lazy Adam or AdamW.

    Args:
        table: The weights, up to the step before a row's last one.
        mean: Mean of the gradients at that step, as large as the table.
        square: Mean of their squares at that step.
        last: Number of each row's last step, from 1; 0 for none.
        plan: The steps.
        slopes: The derivatives of the loss.
        limits: Clipping of the gradients.
        idle: Sums of idle moves.
        settings: Adam's settings.
        done: Number of earlier steps.
        network: The layers on the rows; none for a factorisation, whose logit is their product.

    Returns:
        Whether all slopes were finite; training ends where one is not.
    """
    gradients = np.empty((plan.most_rows, table.shape[1]), np.float32)
    coefficients = np.empty((plan.most_rows, _COLUMNS), np.float64)
    slope, work = np.empty(plan.most_samples, np.float32), _memory(plan, table.shape[1], network)
    for step in range(len(plan.steps) - 1):
        now = done + step + 1
        rows = plan.rows[plan.row_starts[step] : plan.row_starts[step + 1]]
        _idle_coefficients(rows, last, now, idle, settings, coefficients)
        _make_idle_updates(table, mean, square, rows, coefficients)
        if not _clipped_gradients(table, plan, step, slopes, limits, slope, gradients, network, work):
            return False
        _add_to_moments(gradients, mean, square, rows, coefficients, settings)
        for row in rows:
            last[row] = now
        if network is not None:
            _step_network_adam(network, settings, now)
    return True


@compiled
def adam_weights(
    table: Floats, mean: Floats, square: Floats, last: Offsets, idle: IdleTables, settings: AdamSettings, done: int
) -> Floats:
    """Return the weights after ``done`` steps, with the updates that are due in the table; see :func:`train_adam`."""
    result, coefficients = table.copy(), np.empty((len(table), _COLUMNS), np.float64)
    rows = _all_rows(table)
    _idle_coefficients(rows, last, done + 1, idle, settings, coefficients)
    _make_idle_updates(result, mean, square, rows, coefficients)
    return result


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
) -> bool:
    """Take the steps of a plan with Adam whose weight decay is added to the gradients; see :func:`train_adam`."""
    gradients = np.zeros((plan.most_rows + 1, table.shape[1]), np.float32)
    places = np.full(len(table), plan.most_rows, np.int64)
    slope, work = np.empty(plan.most_samples, np.float32), _memory(plan, table.shape[1], network)
    for step in range(len(plan.steps) - 1):
        rows = plan.rows[plan.row_starts[step] : plan.row_starts[step + 1]]
        if not _clipped_gradients(table, plan, step, slopes, limits, slope, gradients, network, work):
            return False
        for place in range(len(rows)):
            places[rows[place]] = place
        _step_dense_adam(table, mean, square, gradients, places, settings, done + step + 1)
        for row in rows:
            places[row] = plan.most_rows
        if network is not None:
            _step_network_adam(network, settings, done + step + 1)
    return True


@compiled_inline
def _step_network_adam(network: Network, settings: AdamSettings, now: int) -> None:
    gradients, mean, square = _as_row(network.gradients), _as_row(network.mean), _as_row(network.square)
    weights = _as_row(network.weights[: len(network.gradients)])
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
) -> bool:
    """Take the steps of a plan with Adagrad; with weight decay every row is updated. See :func:`train_adam`."""
    gradients = np.zeros((plan.most_rows + 1, table.shape[1]), np.float32)
    places = np.full(len(table), plan.most_rows, np.int64)
    everything = _all_rows(table)
    slope, work = np.empty(plan.most_samples, np.float32), _memory(plan, table.shape[1], network)
    for step in range(len(plan.steps) - 1):
        rows = plan.rows[plan.row_starts[step] : plan.row_starts[step + 1]]
        rate = settings.learning_rate / (1 + (done + step) * settings.decay)
        if not _clipped_gradients(table, plan, step, slopes, limits, slope, gradients, network, work):
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
    gradients, square = _as_row(network.gradients), _as_row(network.square)
    weights, place = _as_row(network.weights[: len(network.gradients)]), np.zeros(1, np.int64)
    _step_adagrad(weights, square, gradients, np.zeros(1, np.int32), place, settings, learning_rate)


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
) -> bool:
    """Take the steps of a plan with SGD; ``shrinkage`` is what weight decay leaves of a weight in a step.

    ``last`` is the step up to which each row is up to date; see :func:`train_adam`.
    """
    gradients = np.empty((plan.most_rows, table.shape[1]), np.float32)
    slope, work = np.empty(plan.most_samples, np.float32), _memory(plan, table.shape[1], network)
    for step in range(len(plan.steps) - 1):
        now = done + step + 1
        rows = plan.rows[plan.row_starts[step] : plan.row_starts[step + 1]]
        if shrinkage != 1.0:
            _shrink(table, rows, last, now - 1, shrinkage)
        if not _clipped_gradients(table, plan, step, slopes, limits, slope, gradients, network, work):
            return False
        _step_sgd(table, gradients, rows, np.float32(learning_rate), np.float32(shrinkage))
        for row in rows:
            last[row] = now
        if network is not None:
            weights, place = _as_row(network.weights[: len(network.gradients)]), np.zeros(1, np.int32)
            own = _as_row(network.gradients)
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
    _shrink(result, _all_rows(table), last, done, shrinkage)
    return result


@compiled
def sums_to_infinity(moves: Doubles, ratio: float) -> Doubles:
    """Return ``sum_k ratio^k moves[t + k]`` for every t, where all moves behind the last one equal it."""
    result = np.empty_like(moves)
    total = moves[-1] / (1 - ratio)
    result[-1] = total
    for place in range(len(moves) - 2, -1, -1):
        total = moves[place] + ratio * total
        result[place] = total
    return result
