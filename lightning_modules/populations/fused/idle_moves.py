"""Tables of the sums of the moves that Adam makes in steps without gradient, with decoupled weight decay."""

import math
from functools import lru_cache

import numpy as np

from lightning_modules.populations.fused.kernel_arguments import Doubles, IdleTables
from lightning_modules.utilities.compiled import compiled

# Powers of the g_s whose sums are kept, as in lightning_modules.populations.lazy_adam.
_POWERS = (-2, -1, 0, 1)
# Behind this power of a decay, a sum does not change in double precision.
_NEGLIGIBLE = 1e-17


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
    decays = np.arange(_steps_to_vanish(max(ratios)) + 1)
    # Column 0, of rows that were never trained, is not read.
    totals = np.concatenate([np.zeros((len(_POWERS), 1)), np.stack(sums)], axis=1)
    powers = np.stack([_powers(ratio, decays) for ratio in ratios])
    return IdleTables(totals, powers, _decay(beta1), _decay(beta2))


def _steps_to_vanish(ratio: float) -> int:
    return math.ceil(math.log(_NEGLIGIBLE) / math.log(ratio)) if ratio > _NEGLIGIBLE else 1


def _decay(beta: float) -> np.ndarray:
    return _powers(beta, np.arange(_steps_to_vanish(beta) + 1))


def _powers(ratio: float, steps: np.ndarray) -> np.ndarray:
    """Return the powers of a ratio, the last of them rounded to 0."""
    powers = ratio ** steps.astype(np.float64)
    powers[-1] = 0.0
    return powers


@compiled
def _sums_to_infinity(moves: Doubles, ratio: float) -> Doubles:
    """Return ``sum_k ratio^k moves[t + k]`` for every t, where all moves behind the last one equal it."""
    result = np.empty_like(moves)
    total = moves[-1] / (1 - ratio)
    result[-1] = total
    for place in range(len(moves) - 2, -1, -1):
        total = moves[place] + ratio * total
        result[place] = total
    return result
