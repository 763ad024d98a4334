"""Progress of long work: a live display on a terminal, a plain line once a minute elsewhere."""

import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import current_process
from typing import Any, TypeVar

from rich.console import Console, RenderableType
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

from lightning_modules.utilities.durations import duration_words
from lightning_modules.utilities.processes import is_first
from lightning_modules.utilities.row_table import tell
from lightning_modules.utilities.time_left import TimeLeft

#: Work that takes less is not shown.
_DELAY = 2.0
_SECONDS_BETWEEN_LINES = 60.0
_SECONDS_BETWEEN_LOOKS = 0.2

Item = TypeVar("Item")


class Bars(Progress):
    """Bars with what is done of all, the time and a note, and the time left of all work; else a line a minute.

    Args:
        console: Where to write; one that is no terminal gets the lines.
        time_left: Estimates the time left, from what it is told.
    """

    def __init__(self, console: Console, time_left: TimeLeft) -> None:
        self.time_left = time_left
        self._current: TaskID | None = None
        self._stopped = threading.Event()
        counts = [BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.fields[left]}")]
        columns = [TextColumn("{task.description}"), *counts, TextColumn("{task.fields[note]}")]
        super().__init__(*columns, console=console, disable=not console.is_terminal)
        self._said = time.monotonic()

    def start(self) -> None:
        """Begin the display, or the lines, which also come while one part takes long."""
        super().start()
        if not self.console.is_terminal:
            threading.Thread(target=self._say_regularly, daemon=True).start()

    def stop(self) -> None:
        """End the display and leave it on the screen."""
        self._stopped.set()
        super().stop()

    def add_bar(self, description: str, total: float, *, visible: bool = True) -> TaskID:
        """Add a bar, and return its number."""
        return self.add_task(description, total=total, note="", left="", visible=visible)

    def get_renderables(self) -> Iterable[RenderableType]:
        """Return the bars; that which grows has the time left of all work."""
        for task in self.tasks:
            task.fields["left"] = self._left() if task.id == self._current else ""
        return super().get_renderables()

    def update(self, task_id: TaskID, **changes: Any) -> None:
        """Note how far a task is."""
        super().update(task_id, **changes)
        self._current = task_id
        self._say_if_due()

    def _say_regularly(self) -> None:
        while not self._stopped.wait(_SECONDS_BETWEEN_LOOKS):
            self._say_if_due()

    def _say_if_due(self) -> None:
        with self._lock:
            if self.console.is_terminal or time.monotonic() < self._said + _SECONDS_BETWEEN_LINES:
                return
            self._said = time.monotonic()
            task = self._tasks[self._current or next(iter(self._tasks))]
            tell(self.console, _line(task, self._left()))

    def _left(self) -> str:
        seconds = self.time_left.seconds
        return f"about {duration_words(max(1, round(seconds)))} left in all" if seconds else ""


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
        tell(console, line)
        if ended.wait(_SECONDS_BETWEEN_LINES):
            return


def _line(task: Task, left: str) -> str:
    count = f"{task.description}: {task.completed:,.0f} of {task.total or 0:,.0f} done"
    return ", ".join(part for part in (count, left, task.fields.get("note")) if part)
