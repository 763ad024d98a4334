"""The sums of the moves that Adam makes in steps without gradient, with decoupled weight decay."""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lightning_modules.utilities.compiled import compiled, compiled_part

_Doubles = NDArray[np.float64]

# Powers of the g_s whose sums are kept, as in lightning_modules.populations.lazy_adam.
_POWERS = (-2, -1, 0, 1)
# A variance below this, relative to the squared mean, is that of a single move, or negligible.
_LEAST_VARIANCE = 1e-9
# Behind this power of a decay, a sum does not change in double precision.
_NEGLIGIBLE = 1e-17


class IdleTables(NamedTuple):
    """What :func:`idle_tables` returns.

    Attributes:
        totals: Sums of the moves from each step to infinity, for four powers; float64 [4, steps].
        powers: The decay of those sums over a number of steps; float64 [4, steps].
        mean_decay: The decay of the mean over a number of steps; float64 [steps].
        square_decay: The decay of the squares over a number of steps; float64 [steps].
    """

    totals: _Doubles
    powers: _Doubles
    mean_decay: _Doubles
    square_decay: _Doubles


@lru_cache(maxsize=64)
def idle_tables(beta1: float, beta2: float, shrinkage: float) -> IdleTables:
    r"""Return the tables from which a kernel computes the moves of idle steps.

    They are those of :class:`lightning_modules.populations.lazy_adam.IdleMoves` with two differences. Moments are the
    ones that torch keeps. And decoupled weight decay multiplies a weight by ``shrinkage`` in every step, so that a
    later move counts more than an earlier one, by ``1 / shrinkage`` a step: the sums have the ratio
    :math:`r_p = \beta_1 / (\rho \beta_2^{(1+p)/2})`.

    Args:
        beta1: Adam's first beta.
        beta2: Adam's second beta.
        shrinkage: 1 less the product of learning rate and weight decay, rho.

    Raises:
        ValueError: If the sums diverge.
    """
    ratios = [beta1 / shrinkage / beta2 ** ((1 + power) / 2) for power in _POWERS]
    if max(ratios) >= 1:
        raise ValueError(f"the moves of idle steps diverge with betas {beta1}, {beta2} and shrinkage {shrinkage}")
    step = np.arange(1, _steps_to_vanish(beta2) + 1, dtype=np.float64)
    correction = 1 - beta2**step
    sums = [
        _sums_to_infinity(correction ** ((1 + power) / 2) / (1 - beta1**step), ratio)
        for power, ratio in zip(_POWERS, ratios, strict=True)
    ]
    decays = np.arange(_steps_to_vanish(max(ratios)) + 1, dtype=np.float64)
    # Column 0, of rows that were never trained, is not read.
    totals = np.concatenate([np.zeros((len(_POWERS), 1)), np.stack(sums)], axis=1)
    powers = np.stack([_powers(ratio, decays) for ratio in ratios])
    return IdleTables(totals, powers, _decay(beta1), _decay(beta2))


def _steps_to_vanish(ratio: float) -> int:
    return math.ceil(math.log(_NEGLIGIBLE) / math.log(ratio)) if ratio > _NEGLIGIBLE else 1


def _decay(beta: float) -> _Doubles:
    return _powers(beta, np.arange(_steps_to_vanish(beta) + 1, dtype=np.float64))


def _powers(ratio: float, steps: _Doubles) -> _Doubles:
    """Return the powers of a ratio, the last of them rounded to 0."""
    powers = ratio**steps
    powers[-1] = 0.0
    return powers


@compiled
def _sums_to_infinity(moves: _Doubles, ratio: float) -> _Doubles:
    """Return ``sum_k ratio^k moves[t + k]`` for every t, where all moves behind the last one equal it."""
    result = np.empty_like(moves)
    total = moves[-1] / (1 - ratio)
    result[-1] = total
    for place in range(len(moves) - 2, -1, -1):
        total = moves[place] + ratio * total
        result[place] = total
    return result


@compiled_part
def idle_points(idle: IdleTables, begin: int, end: int) -> tuple[float, float, float, float]:
    """Return two weights W and two nodes g that stand for the moves from step ``begin`` to the one before ``end``.

    The moves add up to ``mean * sum_i W_i / (root + g_i * eps)`` times the learning rate, with the moments of step
    ``begin``, from 1, as they would be without a gradient in it, or with one.
    """
    totals, powers = idle.totals, idle.powers
    decay = min(end - begin, powers.shape[1] - 1)
    begin, end = min(begin, totals.shape[1] - 1), min(end, totals.shape[1] - 1)
    total = totals[0, begin] - powers[0, decay] * totals[0, end]
    mean = (totals[1, begin] - powers[1, decay] * totals[1, end]) / total
    square = (totals[2, begin] - powers[2, decay] * totals[2, end]) / total
    cube = (totals[3, begin] - powers[3, decay] * totals[3, end]) / total
    above, below, deviation = _quadrature(mean, square, cube)
    node, node_2 = mean + deviation * above, mean + deviation * below
    return total * node * node / (1 + above * above), total * node_2 * node_2 / (1 + below * below), node, node_2


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
