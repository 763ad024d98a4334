"""Compiled dense layers on the vectors of users and items: the logits of a step and all gradients.

The first layer's products are those of the distinct rows that a step reads, each computed once; a sample's units are
the sum of those of its user and of its item. Units are float32 [samples, units].
"""

from lightning_modules.populations.fused.activations import (
    drop,
    measure,
    pass_normalised,
    pass_rectified,
    rectify,
    rectify_normalised,
)
from lightning_modules.populations.fused.kernel_arguments import Floats, Network, StepPlan, Workspace
from lightning_modules.populations.fused.products import add_product, add_row, column_sums, fill, fill_rows, transpose
from lightning_modules.utilities.compiled import compiled_inline, compiled_part


@compiled_part
def _matrix(memory: Floats, start: int, rows: int, columns: int) -> Floats:
    """Return a matrix in flat memory."""
    return memory[start : start + rows * columns].reshape(rows, columns)


@compiled_inline
def network_logits(table: Floats, plan: StepPlan, step: int, network: Network, work: Workspace) -> Floats:
    """Return the logits of a step's samples in training mode, float32 [samples]; the workspace keeps the units."""
    layers, weights = network.layers, network.weights
    samples = plan.steps[step + 1] - plan.steps[step]
    for layer in range(len(layers)):
        own = layers[layer]
        linear = _matrix(work.linear, own.first_output * samples, samples, own.outputs)
        fill_rows(linear, weights[own.bias :])
        if layer == 0:
            _add_first(table, plan, step, weights[own.weight :], work, linear)
        else:
            start = layers[layer - 1].first_output * samples
            transposed = _matrix(work.weights, 0, own.inputs, own.outputs)
            transpose(_matrix(weights, own.weight, own.outputs, own.inputs), transposed)
            add_product(linear, _matrix(work.units, start, samples, own.inputs), transposed)
        if layer < len(layers) - 1:
            _activate(plan, step, network, layer, work, linear)
    return work.linear[layers[-1].first_output * samples :][:samples]


@compiled_inline
def _add_first(table: Floats, plan: StepPlan, step: int, weights: Floats, work: Workspace, linear: Floats) -> None:
    """Gather the step's rows, multiply them with the weights of users or items, and add the products by sample."""
    first, first_read, end_read = plan.steps[step], plan.row_starts[step], plan.row_starts[step + 1]
    rows, width, outputs = end_read - first_read, table.shape[1], linear.shape[1]
    vectors, products = _matrix(work.vectors, 0, rows, width), _matrix(work.products, 0, rows, outputs)
    for read in range(first_read, end_read):
        row = plan.rows[read]
        for column in range(width):
            vectors[read - first_read, column] = table[row, column]
    fill(products, 0.0)
    transposed = _matrix(work.weights, 0, width, outputs)
    begin, end = 1, plan.item_starts[step] - first_read
    for half in range(2):
        transpose(_matrix(weights, half * outputs * width, outputs, width), transposed)
        add_product(products[begin:end], vectors[begin:end], transposed)
        begin, end = end, rows
    for read in range(first_read + 1, end_read):
        for term in range(plan.term_starts[read], plan.term_starts[read + 1]):
            add_row(linear, plan.terms[term] - first, products, read - first_read)


@compiled_inline
def _activate(plan: StepPlan, step: int, network: Network, layer: int, work: Workspace, linear: Floats) -> None:
    """Normalise, rectify and drop a hidden layer's units."""
    own, weights = network.layers[layer], network.weights
    (samples, outputs), first = linear.shape, own.first_output
    units = _matrix(work.units, first * samples, samples, outputs)
    if own.scale >= 0:
        mean, inverse = work.mean[first:], work.inverse[first:]
        measure(linear, network.statistics[own.statistics :], own.eps, own.momentum, mean, inverse)
        scale, shift = weights[own.scale :], weights[own.scale + outputs :]
        rectify_normalised(linear, mean, inverse, scale, shift, own.gain, units)
    else:
        rectify(linear, own.gain, units)
    if own.dropout >= 0:
        drop(units, plan.draws[plan.draw_starts[step, own.dropout] :], own.least)


@compiled_inline
def network_gradients(
    plan: StepPlan, step: int, slope: Floats, network: Network, work: Workspace, result: Floats
) -> None:
    """Write the gradients of the network's weights and of a step's rows, float32 [distinct, width].

    Args:
        plan: The steps.
        step: The step, for which :func:`network_logits` was called last.
        slope: Derivative of the mean loss by every logit, float32 [samples].
        network: The network.
        work: The workspace.
        result: Receives the gradients of the rows.
    """
    layers, own = network.layers, network.gradients
    samples, last = plan.steps[step + 1] - plan.steps[step], len(layers) - 1
    gradient = slope[:samples].reshape(samples, 1)
    for layer in range(last, -1, -1):
        if layer < last:
            _pass_activation(gradient, network, layer, work)
        if layers[layer].bias < len(own):
            column_sums(gradient, own[layers[layer].bias :])
        if layer > 0:
            start = (layer % 2) * (len(work.gradients) // 2)
            below = _matrix(work.gradients, start, samples, layers[layer].inputs)
            _pass_linear(gradient, network, layer, work, below)
            gradient = below
    _pass_first(gradient, plan, step, network, work, result)


@compiled_inline
def _pass_activation(gradient: Floats, network: Network, layer: int, work: Workspace) -> None:
    """Make the gradient of a hidden layer's outputs in place that of its Linear layer's."""
    own = network.layers[layer]
    (samples, outputs), first = gradient.shape, own.first_output
    pass_rectified(gradient, _matrix(work.units, first * samples, samples, outputs), own.gain)
    if own.scale >= 0:
        linear, scale = _matrix(work.linear, first * samples, samples, outputs), network.weights[own.scale :]
        mean, inverse = work.mean[first:], work.inverse[first:]
        pass_normalised(gradient, linear, mean, inverse, scale, network.gradients[own.scale :])


@compiled_inline
def _pass_linear(gradient: Floats, network: Network, layer: int, work: Workspace, below: Floats) -> None:
    """Write the gradients of a layer's weights and of its inputs."""
    (samples, inputs), outputs = below.shape, gradient.shape[1]
    start = network.layers[layer].weight
    own = _matrix(network.gradients, start, outputs, inputs)
    fill(own, 0.0)
    units = _matrix(work.units, network.layers[layer - 1].first_output * samples, samples, inputs)
    add_product(own, gradient.T, units)
    fill(below, 0.0)
    add_product(below, gradient, _matrix(network.weights, start, outputs, inputs))


@compiled_inline
def _pass_first(gradient: Floats, plan: StepPlan, step: int, network: Network, work: Workspace, result: Floats) -> None:
    """Write the gradients of the first layer's weights and of the rows."""
    first, first_read, end_read = plan.steps[step], plan.row_starts[step], plan.row_starts[step + 1]
    rows, width, outputs = end_read - first_read, result.shape[1], gradient.shape[1]
    vectors, sums = _matrix(work.vectors, 0, rows, width), _matrix(work.products, 0, rows, outputs)
    fill(sums, 0.0)
    for read in range(first_read + 1, end_read):
        for term in range(plan.term_starts[read], plan.term_starts[read + 1]):
            add_row(sums, read - first_read, gradient, plan.terms[term] - first)
    fill(result[:rows], 0.0)
    begin, end = 1, plan.item_starts[step] - first_read
    for half in range(2):
        start = network.layers[0].weight + half * outputs * width
        own = _matrix(network.gradients, start, outputs, width)
        fill(own, 0.0)
        add_product(own, sums[begin:end].T, vectors[begin:end])
        add_product(result[begin:end], sums[begin:end], _matrix(network.weights, start, outputs, width))
        begin, end = end, rows
