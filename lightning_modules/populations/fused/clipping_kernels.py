"""Compiled clipping of gradients, those of rows and those of a network together."""

import numpy as np

from lightning_modules.populations.fused.kernel_arguments import ClippingLimits, Floats, Network
from lightning_modules.utilities.compiled import compiled_part


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
def clip(gradients: Floats, rows: int, limits: ClippingLimits, network: Network | None) -> None:
    """Clip the first rows of the gradients, and those of the network, in place, as torch does."""
    if limits.value < np.inf:
        _clamp(gradients, rows, limits.value)
        if network is not None:
            _clamp(as_row(network.gradients), 1, limits.value)
    if limits.norm < np.inf:
        squares = _squared_norm(gradients, rows)
        if network is not None:
            squares += _squared_norm(as_row(network.gradients), 1)
        scale = limits.norm / (np.sqrt(squares) + np.float32(1e-6))
        if scale < 1.0:
            _multiply(gradients, rows, scale)
            if network is not None:
                _multiply(as_row(network.gradients), 1, scale)


@compiled_part
def as_row(weights: Floats) -> Floats:
    """Return weights as a table of one row."""
    return weights.reshape(1, len(weights))
