"""Progress of long work: a live display on a terminal, a plain line once a minute elsewhere."""

import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import current_process
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from lightning_modules.utilities.processes import is_first

#: Work that takes less is not shown.
_DELAY = 2.0
_SECONDS_BETWEEN_LINES = 60.0
_SECONDS_BETWEEN_LOOKS = 0.2

Item = TypeVar("Item")


class Bars(Progress):
    """Bars with what is done of all, the time, the time left and a note; without a terminal, a line a minute.

    Args:
        console: Where to write.
    """

    def __init__(self, console: Console) -> None:
        columns = [BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()]
        super().__init__(TextColumn("{task.description}"), *columns, TextColumn("{task.fields[note]}"), console=console)
        self._said = time.monotonic()

    def update(self, task_id: TaskID, **changes: Any) -> None:
        """Note how far a task is."""
        super().update(task_id, **changes)
        if self.console.is_terminal or time.monotonic() < self._said + _SECONDS_BETWEEN_LINES:
            return
        self._said = time.monotonic()
        self.console.print(_line(self._tasks[task_id]), markup=False, highlight=False, soft_wrap=True)


@dataclass
class Work:
    """Progress of some work, counted up by the code that does it.

    Attributes:
        total: Number of parts, ``None`` if that is unknown.
        done: Number of parts that are done.
    """

    total: int | None = None
    done: int = 0


@contextmanager
def working(text: str, total: int | None = None) -> Iterator[Work]:
    """Show on stderr what is being done once it has taken two seconds; workers and other ranks show nothing.

    Args:
        text: What is done, such as ``reading shop.csv``.
        total: Number of its parts, which the caller counts in ``done``; ``None`` shows the time alone.
    """
    work, ended = Work(total), threading.Event()
    watcher = threading.Thread(target=_watch, args=(text, work, ended), daemon=True)
    if current_process().name == "MainProcess" and is_first():
        watcher.start()
    try:
        yield work
    finally:
        ended.set()
        if watcher.ident is not None:
            watcher.join()


def counted(items: Sequence[Item], text: str) -> Iterator[Item]:
    """Yield items, and show how many are done as :func:`working` does."""
    with working(text, len(items)) as work:
        for item in items:
            yield item
            work.done += 1


def _watch(text: str, work: Work, ended: threading.Event) -> None:
    if ended.wait(_DELAY):
        return
    console = Console(file=sys.stderr)
    display = _shown if console.is_terminal else _said
    display(console, text, work, ended)


def _shown(console: Console, text: str, work: Work, ended: threading.Event) -> None:
    began = time.monotonic() - _DELAY
    counts: list[ProgressColumn] = [BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()]
    columns = [SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn()]
    with Progress(*columns, *(counts if work.total else []), console=console, transient=True) as progress:
        task = progress.add_task(text, total=work.total)
        progress.tasks[0].start_time = began
        while not ended.wait(_SECONDS_BETWEEN_LOOKS):
            progress.update(task, completed=work.done)


def _said(console: Console, text: str, work: Work, ended: threading.Event) -> None:
    began = time.monotonic() - _DELAY
    while True:
        parts = f" {work.done:,} of {work.total:,} done," if work.total else ""
        line = f"{text}:{parts} {time.monotonic() - began:.0f} s so far"
        console.print(line, markup=False, highlight=False, soft_wrap=True)
        if ended.wait(_SECONDS_BETWEEN_LINES):
            return


def _line(task: Task) -> str:
    left = f", about {task.time_remaining:.0f} s left" if task.time_remaining else ""
    note = f", {task.fields['note']}" if task.fields.get("note") else ""
    return f"{task.description}: {task.completed:,.0f} of {task.total or 0:,.0f} done{left}{note}"
