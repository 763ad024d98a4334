"""What the compiled kernels are given: tables of numbers and settings."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Bits = NDArray[np.int16]
Floats = NDArray[np.float32]
Rows = NDArray[np.int32]
Offsets = NDArray[np.int64]


class StepPlan(NamedTuple):
    """The rows that every step reads, and which samples read them.

    Attributes:
        user: Row of each sample's user, int32 [samples], in the order of the steps.
        item: Row of each sample's item.
        label: 0 or 1, int32 [samples].
        steps: First sample of each step, and the number of samples; int64 [steps + 1].
        rows: The distinct rows of each step: row 0, those of users, those of items; int32 [reads].
        row_starts: First of them of each step; int64 [steps + 1].
        item_starts: First of them that is an item's, of each step; int64 [steps].
        terms: The samples that read each of them, int32 [2 * samples].
        others: The other row of that sample, int32 [2 * samples].
        term_starts: First term of each distinct row; int64 [reads + 1].
        most_rows: The largest number of distinct rows in a step.
        most_samples: The largest number of samples in a step.
        draws: The random numbers of dropout; int16.
        draw_starts: First of them of each step and layer with dropout, followed by those of its other units, sample by
            sample; int64 [steps, layers].
    """

    user: Rows
    item: Rows
    label: Rows
    steps: Offsets
    rows: Rows
    row_starts: Offsets
    item_starts: Offsets
    terms: Rows
    others: Rows
    term_starts: Offsets
    most_rows: int
    most_samples: int
    draws: Bits
    draw_starts: Offsets


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


#: A layer of a :class:`Network`; what it does not have is -1.
LAYER = np.dtype(
    [
        ("inputs", np.int64),
        ("outputs", np.int64),
        ("first_output", np.int64),  # its place among the outputs of all layers
        ("weight", np.int64),  # where in the network's weights its own begin
        ("bias", np.int64),
        ("scale", np.int64),  # of its normalisation; the shift follows
        ("statistics", np.int64),  # where in the network's statistics its own begin: means, then variances
        ("dropout", np.int64),  # its place among the layers with dropout
        ("least", np.int64),  # the least random number of a unit that dropout keeps
        ("eps", np.float64),  # of its normalisation
        ("momentum", np.float64),
        ("gain", np.float64),  # the factor of the units that dropout keeps
    ],
    align=True,
)


class Network(NamedTuple):
    """Dense layers on the vectors of a user and of an item, with the state of their optimizer.

    A hidden layer is Linear, batch normalisation, ReLU and dropout; the last layer is Linear, to the logit.

    Attributes:
        layers: A record array of :data:`LAYER`.
        statistics: Running means and variances, float32.
        weights: Those that are trained come first. A layer's are [outputs, inputs]; in the first layer those of the
            user's vector, then those of the item's: [2, outputs, width]. Float32 [parameters].
        gradients: Of the trained weights, float32 [trained].
        mean: The optimizer's mean of the gradients, float32 [trained].
        square: The optimizer's mean or sum of their squares, float32 [trained].
    """

    layers: "np.recarray[Any, Any]"
    statistics: Floats
    weights: Floats
    gradients: Floats
    mean: Floats
    square: Floats


class Workspace(NamedTuple):
    """Memory for a step, flat, in which matrices of a step's size begin at multiples of their rows.

    Attributes:
        vectors: The step's rows, [distinct, width].
        products: The first layer's products of these rows, [distinct, outputs].
        weights: A transposed weight, [inputs, outputs].
        linear: Outputs of every layer's Linear, [samples, outputs].
        units: Outputs of every hidden layer, [samples, outputs].
        mean: Mean of every output, [outputs].
        inverse: Inverse deviation of every output, [outputs].
        gradients: Of a layer's outputs, and of its inputs, each [samples, widest].
    """

    vectors: Floats
    products: Floats
    weights: Floats
    linear: Floats
    units: Floats
    mean: Floats
    inverse: Floats
    gradients: Floats


def workspace(network: Network, plan: StepPlan, width: int) -> Workspace:
    """Return memory for the largest step of a plan, of a network on rows of so many elements."""
    outputs = network.layers.outputs
    first, units, widest = outputs[0], outputs.sum(), outputs.max()
    largest = max([first * width, *(network.layers.inputs * outputs)[1:]])
    rows, samples = plan.most_rows, plan.most_samples
    sizes = rows * width, rows * first, largest, units * samples, units * samples, units, units, 2 * widest * samples
    return Workspace(*(np.empty(size, np.float32) for size in sizes))
