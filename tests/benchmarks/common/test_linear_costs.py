"""Costs that are fitted to calls of several sizes."""

import mmap

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
    # Pages of its own: an array would take what was freed before and is still in memory.
    kept = _filled(2**26)
    cost = measured(lambda: _filled(2**26).close())
    assert cost.memory == pytest.approx(len(kept), rel=0.1)
    assert cost.seconds > 0


def _filled(size: int) -> mmap.mmap:
    memory, page = mmap.mmap(-1, size), bytes(mmap.PAGESIZE)
    for _ in range(size // len(page)):
        memory.write(page)
    return memory
