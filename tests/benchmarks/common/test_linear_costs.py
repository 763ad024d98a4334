"""Costs that are fitted to calls of several sizes."""

import numpy as np
import pytest

from benchmarks.common.linear_costs import fitted, grid, measured


def test_the_costs_that_made_the_times_are_found() -> None:
    sizes = grid([1, 5], [1_000, 500_000], [100, 200_000])
    times = [0.02 + 0.1 * each.candidates + 3e-7 * each.rows + 4e-7 * each.candidates * each.rows for each in sizes]
    found = fitted(sizes, times, ["call", "candidate", "row", "candidate and row", "candidate and reward row"])
    assert found == pytest.approx(
        {"call": 0.02, "candidate": 0.1, "row": 3e-7, "candidate and row": 4e-7, "candidate and reward row": 0.0},
        abs=1e-12,
    )


def test_memory_is_that_of_the_call_alone() -> None:
    # More than 32 MiB, up to which malloc may give what was freed before and is still in memory.
    kept = np.ones(2**23)
    cost = measured(lambda: np.ones(2**23).sum())
    assert cost.memory == pytest.approx(kept.nbytes, rel=0.1)
    assert cost.seconds > 0
