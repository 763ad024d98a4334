"""Runs that take turns, and how many times faster than the published code they are."""

import statistics
import time
from collections.abc import Callable

#: Seconds of every run in every repeat; the one to compare with is called "published".
Times = list[dict[str, float]]


def in_turn(
    runs: dict[str, Callable[[], object]], repeats: int, clock: Callable[[], float] = time.perf_counter
) -> Times:
    """Return the seconds of all runs, one right after the other, in the opposite order every other time."""
    names = list(runs)
    return [
        {name: seconds(runs[name], clock) for name in names[:: -1 if repeat % 2 else 1]} for repeat in range(repeats)
    ]


def seconds(run: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    start = clock()
    run()
    return clock() - start


def ratios(times: Times, name: str) -> list[float]:
    """Return how many times faster than the published code a run was, repeat by repeat."""
    return [each["published"] / each[name] for each in times]


def rates(times: Times, name: str, rows: int) -> str:
    """Return rows a second: the median, slowest and fastest."""
    each = [rows / repeat[name] for repeat in times]
    return f"{statistics.median(each):,.0f} ({min(each):,.0f} to {max(each):,.0f})"


def median(values: list[float]) -> str:
    """Return the median, the lowest and the highest."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def verdict(values: list[float], required: float) -> str:
    """Return whether the median is what is required."""
    return f"{required:g}: {'reached' if statistics.median(values) >= required else 'missed'}"
