"""Costs of a training that grow with its sizes, fitted to trainings of several sizes."""

import gc
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

from benchmarks.common.process_memory import forget_peak, peak


class Sizes(NamedTuple):
    """Sizes of one call of an evaluator.

    Attributes:
        candidates: Number of candidates.
        rows: Training rows.
        reward_rows: Rows that rewards are measured on.
    """

    candidates: int
    rows: int
    reward_rows: int


#: What each cost is multiplied by.
TERMS: Mapping[str, Callable[[Sizes], float]] = {
    "call": lambda _: 1.0,
    "candidate": lambda sizes: sizes.candidates,
    "row": lambda sizes: sizes.rows,
    "candidate and row": lambda sizes: sizes.candidates * sizes.rows,
    "reward row": lambda sizes: sizes.reward_rows,
    "candidate and reward row": lambda sizes: sizes.candidates * sizes.reward_rows,
}


class Cost(NamedTuple):
    """What one call took.

    Attributes:
        seconds: Of processor time.
        memory: Bytes at its peak, beyond those before it.
    """

    seconds: float
    memory: float


def measured(run: Callable[[], object]) -> Cost:
    """Return what a call takes."""
    # What earlier calls left would be freed meanwhile.
    gc.collect()
    forget_peak()
    before, start = peak(), time.process_time()
    run()
    return Cost(time.process_time() - start, peak() - before)


def grid(candidates: Iterable[int], rows: Iterable[int], reward_rows: Iterable[int]) -> list[Sizes]:
    """Return all combinations of sizes."""
    return [Sizes(*each) for each in product(candidates, rows, reward_rows)]


def fitted(sizes: Sequence[Sizes], costs: Sequence[float], terms: Sequence[str]) -> dict[str, float]:
    """Return the costs of terms by least squares.

    Args:
        sizes: Sizes of calls.
        costs: What each call took.
        terms: Names of :data:`TERMS`.
    """
    design = np.array([[TERMS[term](each) for term in terms] for each in sizes])
    # The terms are of very different sizes, which would leave the small ones to rounding.
    scale = design.max(axis=0)
    found, *_ = np.linalg.lstsq(design / scale, np.asarray(costs, dtype=float), rcond=None)
    return dict(zip(terms, (found / scale).tolist(), strict=True))
