"""Runs calls on an executor, as many at a time as it has slots, and repeats those whose worker died."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar

from lightning_modules.training.executors import TrainingExecutor

Result = TypeVar("Result")


@dataclass(frozen=True)
class Death:
    """The result of a call whose process died, and died again when it ran alone."""

    reason: str

    @property
    def error(self) -> str:
        """What a ledger says of the call."""
        return f"its process died, and so it did on a second try: {self.reason}"


def _nothing() -> None:
    pass


@dataclass(frozen=True)
class Call:
    """A call that a job waits for.

    Attributes:
        function: The function.
        arguments: Its arguments.
        on_done: Receives the result, or a :class:`Death`.
        on_start: Is told just before the call runs for the first time.
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    on_done: Callable[[Any], object]
    on_start: Callable[[], object] = _nothing


#: Yields calls that may run at once, goes on when all of them are done, and returns what became of them.
Job = Generator[Sequence[Call], None, Result]


def run_jobs(executor: TrainingExecutor, jobs: Iterable[Job[Result]]) -> Generator[tuple[int, Result]]:
    """Run jobs side by side and yield the number and the result of each when it ends.

    The calls of earlier jobs come first, and a job begins when those before it leave a slot free: with one slot, jobs
    run one after the other. When a worker dies, calls of other workers may fail with it. Each of them is repeated once,
    alone, when nothing else is left to do, so that no call fails because of another one.

    Args:
        executor: Runs the calls, no more than its ``slots`` at a time.
        jobs: The jobs. When the run is interrupted, their calls that were done are still told so.
    """
    runner = _Runner(executor, jobs)
    try:
        yield from runner.run()
    except BaseException:
        runner.tell_what_is_done()
        raise


def dispatch(
    executor: TrainingExecutor,
    function: Callable[..., Result],
    calls: Sequence[tuple[Any, ...]],
    on_done: Callable[[int, Result | Death], None],
) -> Generator[int]:
    """Run all calls of a function as :func:`run_jobs` does, and yield the number of each when it is done.

    Args:
        executor: Runs the calls, no more than its ``slots`` at a time.
        function: The function.
        calls: Its arguments in each call.
        on_done: Receives the number and result of every call before the number is yielded, and those of calls that
            were done when the run was interrupted.
    """

    def job(number: int) -> Job[None]:
        yield [Call(function, calls[number], partial(on_done, number))]

    with closing(run_jobs(executor, map(job, range(len(calls))))) as ended:
        for number, _ in ended:
            yield number


@dataclass
class _Begun(Generic[Result]):
    """A job that has begun, its calls that wait for a slot, and how many of its calls are not done."""

    job: Job[Result]
    waiting: deque[Call] = field(default_factory=deque)
    missing: int = 0


class _Runner(Generic[Result]):
    def __init__(self, executor: TrainingExecutor, jobs: Iterable[Job[Result]]) -> None:
        self._executor = executor
        self._coming = enumerate(jobs)
        self._begun: dict[int, _Begun[Result]] = {}
        self._running: dict[Future[Any], tuple[int, Call]] = {}
        self._suspects: deque[tuple[int, Call]] = deque()

    def run(self) -> Generator[tuple[int, Result]]:
        while True:
            yield from self._fill_slots()
            is_second = not self._running
            if is_second:
                if not self._suspects:
                    return
                self._submit(*self._suspects.popleft())
            yield from self._await_some(is_second=is_second)

    def tell_what_is_done(self) -> None:
        for future, (_, call) in self._running.items():
            if future.done() and not future.cancelled() and future.exception() is None:
                call.on_done(future.result())

    def _fill_slots(self) -> Generator[tuple[int, Result]]:
        while len(self._running) < self._executor.slots:
            number = next((number for number, begun in self._begun.items() if begun.waiting), None)
            if number is not None:
                call = self._begun[number].waiting.popleft()
                call.on_start()
                self._submit(number, call)
                continue
            coming = next(self._coming, None)
            if coming is None:
                return
            self._begun[coming[0]] = _Begun(coming[1])
            yield from self._go_on(coming[0])

    def _submit(self, number: int, call: Call) -> None:
        self._running[self._executor.submit(call.function, *call.arguments)] = number, call

    def _await_some(self, *, is_second: bool) -> Generator[tuple[int, Result]]:
        done = wait(self._running, return_when=FIRST_COMPLETED).done
        for future in [each for each in self._running if each in done]:
            number, call = self._running.pop(future)
            death = future.exception()
            if not isinstance(death, self._executor.deaths):
                call.on_done(future.result())
            elif is_second:
                call.on_done(Death(str(death)))
            else:
                self._suspects.append((number, call))
                continue
            self._begun[number].missing -= 1
            yield from self._go_on(number)

    def _go_on(self, number: int) -> Generator[tuple[int, Result]]:
        """Take the next calls of a job that waits for none, or yield its number and result if there are none."""
        begun = self._begun[number]
        while not begun.missing:
            try:
                begun.waiting.extend(next(begun.job))
            except StopIteration as end:
                del self._begun[number]
                yield number, end.value
                return
            begun.missing = len(begun.waiting)


def in_order(numbered: Iterable[tuple[int, Result]]) -> Generator[tuple[int, Result]]:
    """Yield numbered results by rising number from 0, each as soon as all before it are there."""
    early: dict[int, Result] = {}
    following = 0
    for number, result in numbered:
        early[number] = result
        while following in early:
            yield following, early.pop(following)
            following += 1
