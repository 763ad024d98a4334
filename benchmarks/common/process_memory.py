"""Memory of processes, as Linux counts it.

``ru_maxrss`` would not do: a new process begins with that of the one that started it, and it can never be reset.
"""

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

_KIB = 1024


class Usage(NamedTuple):
    """Memory of a process in bytes.

    Attributes:
        resident: All of its pages that are in memory.
        proportional: The same, but pages that several processes map are divided among them.
    """

    resident: int
    proportional: int


def peak() -> int:
    """Return the most bytes that this process has had in memory since :func:`forget_peak`."""
    return _figures(Path("/proc/self/status"))["VmHWM"]


def forget_peak() -> None:
    """Let the peak begin anew from what is in memory now."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def usage(process: int) -> Usage:
    """Return the memory of a process; nothing if it has ended."""
    try:
        figures = _figures(Path(f"/proc/{process}/smaps_rollup"))
    except (FileNotFoundError, ProcessLookupError):
        return Usage(0, 0)
    return Usage(figures.get("Rss", 0), figures.get("Pss", 0))


def descendants(process: int) -> Iterator[int]:
    """Yield the processes that a process has started, and those that they have."""
    try:
        children = [path.read_text(encoding="ascii") for path in Path(f"/proc/{process}/task").glob("*/children")]
    except (FileNotFoundError, ProcessLookupError):
        return
    for child in map(int, " ".join(children).split()):
        yield child
        yield from descendants(child)


@contextmanager
def sampled(interval: float = 0.2) -> Iterator[list[list[Usage]]]:
    """Look at the memory of this process and then of all that it started, again and again; yield what was seen."""
    samples: list[list[Usage]] = []
    over = threading.Event()

    def sample() -> None:
        while not over.wait(interval):
            samples.append([usage(process) for process in (os.getpid(), *descendants(os.getpid()))])

    thread = threading.Thread(target=sample, name="sample memory", daemon=True)
    thread.start()
    try:
        yield samples
    finally:
        over.set()
        thread.join()


def largest(samples: Sequence[Sequence[Usage]]) -> tuple[Usage, Usage]:
    """Return the memory of the first process, and of all others together, when they all had most of it."""
    if not samples:
        return Usage(0, 0), Usage(0, 0)
    first, *others = max(samples, key=lambda sample: sum(each.proportional for each in sample))
    return first, Usage(sum(each.resident for each in others), sum(each.proportional for each in others))


def _figures(path: Path) -> dict[str, int]:
    """Return the lines ``Name: number kB`` in bytes."""
    lines = (line.split() for line in path.read_text(encoding="ascii", errors="replace").splitlines())
    return {words[0].rstrip(":"): int(words[1]) * _KIB for words in lines if len(words) == 3 and words[2] == "kB"}
