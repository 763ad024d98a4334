"""Compiled batch normalisation, ReLU and dropout, forward and backward: units are float32 [samples, units]."""

import numpy as np

from lightning_modules.populations.fused.kernel_arguments import Bits, Floats
from lightning_modules.populations.fused.products import column_sums
from lightning_modules.utilities.compiled import compiled_part


@compiled_part
def measure(units: Floats, statistics: Floats, eps: float, momentum: float, mean: Floats, inverse: Floats) -> None:
    """Write what units are normalised with over the samples, and update their running statistics.

    A single sample is normalised by the running statistics, which stay, as in
    :class:`~lightning_modules.layers.mlp.BatchNorm`.

    Args:
        units: The units.
        statistics: Their running means, then their running variances.
        eps: What is added to a variance.
        momentum: The share of the samples in the running statistics.
        mean: Receives the means, float32 [units].
        inverse: Receives the inverse deviations, float32 [units].
    """
    samples, number = units.shape
    if samples > 1:
        column_sums(units, mean)
        for unit in range(number):
            mean[unit] /= np.float32(samples)
        _squared_distances(units, mean, inverse)
        share, count = np.float32(momentum), np.float32(samples)
        for unit in range(number):
            statistics[unit] += share * (mean[unit] - statistics[unit])
            unbiased = inverse[unit] / (count - np.float32(1.0))
            statistics[number + unit] += share * (unbiased - statistics[number + unit])
            inverse[unit] /= count
    else:
        for unit in range(number):
            mean[unit], inverse[unit] = statistics[unit], statistics[number + unit]
    for unit in range(number):
        inverse[unit] = np.float32(1.0) / np.sqrt(inverse[unit] + np.float32(eps))


@compiled_part
def _squared_distances(units: Floats, mean: Floats, result: Floats) -> None:
    """Write the sums of the squared distances from the means."""
    for unit in range(units.shape[1]):
        result[unit] = np.float32(0.0)
    for sample in range(len(units)):
        for unit in range(units.shape[1]):
            distance = units[sample, unit] - mean[unit]
            result[unit] += distance * distance


@compiled_part
def rectify_normalised(
    units: Floats, mean: Floats, inverse: Floats, scale: Floats, shift: Floats, gain: float, result: Floats
) -> None:
    """Normalise, scale and shift units, apply ReLU and a factor; nan stays nan."""
    factor = np.float32(gain)
    for sample in range(len(units)):
        for unit in range(units.shape[1]):
            value = scale[unit] * inverse[unit] * (units[sample, unit] - mean[unit]) + shift[unit]
            result[sample, unit] = np.float32(0.0) if value <= 0 else factor * value


@compiled_part
def rectify(units: Floats, gain: float, result: Floats) -> None:
    """Apply ReLU and a factor; nan stays nan."""
    factor = np.float32(gain)
    for sample in range(len(units)):
        for unit in range(units.shape[1]):
            value = units[sample, unit]
            result[sample, unit] = np.float32(0.0) if value <= 0 else factor * value


@compiled_part
def drop(units: Floats, bits: Bits, least: int) -> None:
    """Set the units to 0 whose random number, of int16 [samples * units], is below the least that is kept."""
    number = units.shape[1]
    for sample in range(len(units)):
        for unit in range(number):
            units[sample, unit] *= np.float32(bits[sample * number + unit] >= least)


@compiled_part
def pass_rectified(gradient: Floats, outputs: Floats, gain: float) -> None:
    """Make the gradient of rectified outputs, some of them dropped, in place that of the inputs."""
    factor = np.float32(gain)
    for sample in range(len(outputs)):
        for unit in range(outputs.shape[1]):
            passes = outputs[sample, unit] > 0
            gradient[sample, unit] = factor * gradient[sample, unit] if passes else np.float32(0.0)


@compiled_part
def pass_normalised(gradient: Floats, units: Floats, mean: Floats, inverse: Floats, scale: Floats, own: Floats) -> None:
    """Make the gradient of scaled units in place that of the units before their normalisation.

    Args:
        gradient: See above.
        units: The units before their normalisation.
        mean: The means that they were normalised with.
        inverse: The inverse deviations.
        scale: Their scale.
        own: Receives the gradients of the scale, then of the shift.
    """
    samples, number = units.shape
    scale_sum, shift_sum = own[:number], own[number : 2 * number]
    for unit in range(number):
        scale_sum[unit], shift_sum[unit] = np.float32(0.0), np.float32(0.0)
    for sample in range(samples):
        for unit in range(number):
            shift_sum[unit] += gradient[sample, unit]
            scale_sum[unit] += gradient[sample, unit] * (units[sample, unit] - mean[unit])
    for unit in range(number):
        scale_sum[unit] *= inverse[unit]
    # The statistics of a single sample do not depend on it.
    share = np.float32(1.0 / samples) if samples > 1 else np.float32(0.0)
    for sample in range(samples):
        for unit in range(number):
            normalised = (units[sample, unit] - mean[unit]) * inverse[unit]
            common = share * (shift_sum[unit] + scale_sum[unit] * normalised)
            gradient[sample, unit] = scale[unit] * inverse[unit] * (gradient[sample, unit] - common)
