"""Keeps an executor busy with calls, and survives the deaths of its workers."""

from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import closing
from dataclasses import dataclass
from typing import Any, TypeVar

from lightning_modules.search.executors import TrialExecutor

Result = TypeVar("Result")


@dataclass(frozen=True)
class Death:
    """A call whose process died, and died again when it was given a worker to itself."""

    reason: str


def dispatch(
    executor: TrialExecutor,
    function: Callable[..., Result],
    calls: Sequence[tuple[Any, ...]],
    on_done: Callable[[int, Result | Death], None],
) -> Generator[int]:
    """Run all calls and yield each one's number when it is done.

    A worker that dies may take its neighbours' calls with it, so that each of them is repeated once, alone: nobody then
    dies of another's call.

    Args:
        executor: Where to run; no more than its ``slots`` calls are under way at a time.
        function: What to call.
        calls: The arguments of each call.
        on_done: Told the result of every call before it is yielded, and that of calls which were over when the run was
            interrupted.
    """
    suspects: list[int] = []
    with closing(_completed(executor, function, calls, range(len(calls)), on_done, executor.slots)) as completed:
        for number, future in completed:
            if isinstance(future.exception(), executor.deaths):
                suspects.append(number)
            else:
                on_done(number, future.result())
                yield number
    with closing(_completed(executor, function, calls, sorted(suspects), on_done, slots=1)) as completed:
        for number, future in completed:
            death = future.exception()
            on_done(number, Death(str(death)) if isinstance(death, executor.deaths) else future.result())
            yield number


def _completed(
    executor: TrialExecutor,
    function: Callable[..., Result],
    calls: Sequence[tuple[Any, ...]],
    numbers: Sequence[int],
    on_done: Callable[[int, Result | Death], None],
    slots: int,
) -> Generator[tuple[int, Future[Result]]]:
    """Yield every call's number and its future when that is done."""
    waiting = deque(numbers)
    running: dict[Future[Result], int] = {}
    try:
        while waiting or running:
            while waiting and len(running) < slots:
                number = waiting.popleft()
                running[executor.submit(function, *calls[number])] = number
            for future in sorted(wait(running, return_when=FIRST_COMPLETED).done, key=running.__getitem__):
                yield running.pop(future), future
    except BaseException:
        for future, number in running.items():
            if future.done() and not future.cancelled() and future.exception() is None:
                on_done(number, future.result())
        raise
