"""Runs calls on an executor, as many at a time as it has slots, and repeats those whose worker died."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import closing
from dataclasses import dataclass
from typing import Any, TypeVar

from lightning_modules.search.executors import TrialExecutor

Result = TypeVar("Result")


@dataclass(frozen=True)
class Death:
    """The result of a call whose process died, and died again when it ran alone."""

    reason: str

    @property
    def error(self) -> str:
        """What a ledger says of the call."""
        return f"its process died, and so it did on a second try: {self.reason}"


def dispatch(
    executor: TrialExecutor,
    function: Callable[..., Result],
    calls: Sequence[tuple[Any, ...]],
    on_done: Callable[[int, Result | Death], None],
) -> Generator[int]:
    """Run all calls and yield the number of each when it is done.

    When a worker dies, calls of other workers may fail with it. Each of them is repeated once, alone, so that no call
    fails because of another one.

    Args:
        executor: Runs the calls, no more than its ``slots`` at a time.
        function: The function.
        calls: Its arguments in each call.
        on_done: Receives the number and result of every call before the number is yielded, and those of calls that
            were done when the run was interrupted.
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
    """Yield the number and the future of every call when it is done."""
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


def in_order(numbered: Iterable[tuple[int, Result]]) -> Generator[tuple[int, Result]]:
    """Yield numbered results by rising number from 0, each as soon as all before it are there."""
    early: dict[int, Result] = {}
    following = 0
    for number, result in numbered:
        early[number] = result
        while following in early:
            yield following, early.pop(following)
            following += 1
