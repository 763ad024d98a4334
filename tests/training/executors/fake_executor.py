"""An executor whose calls end in any order and whose workers die together."""

import random
import threading
from collections.abc import Callable, Collection
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from lightning_modules.training.executors import Shared, TrainingExecutor

T = TypeVar("T")


class DiedError(Exception):
    """What the futures of a dead worker raise."""


@dataclass(frozen=True)
class _Here(Shared[T], Generic[T]):
    value: T

    def get(self) -> T:
        return self.value


class FakeExecutor(TrainingExecutor):
    """Ends every call after some milliseconds, and all that run when one of them is deadly.

    Args:
        slots: See the base class.
        seed: Of the milliseconds.
        deadly: Tells by its arguments, and by how many calls were submitted, whether a call dies.

    Attributes:
        submitted: The arguments of every call.
        most_running: How many calls ran at once, at most.
        beside: For every call, how many others were running when it was submitted.
        shared: Every value that was shared.
    """

    deaths = (DiedError,)

    def __init__(self, slots: int = 3, seed: int = 0, deadly: Callable[[tuple[Any, ...]], bool] | None = None) -> None:
        self.slots = slots
        self.submitted: list[tuple[Any, ...]] = []
        self.beside: list[int] = []
        self.shared: list[Any] = []
        self._deadly = deadly or (lambda arguments: False)
        self._random = random.Random(seed)
        self._running: set[Future[Any]] = set()
        self._lock = threading.RLock()

    @property
    def most_running(self) -> int:
        return max(self.beside) + 1

    def submit(self, function: Callable[..., T], /, *arguments: Any, **options: Any) -> "Future[T]":
        future: Future[T] = Future()
        with self._lock:
            self.submitted.append(arguments)
            self.beside.append(len(self._running))
            self._running.add(future)
        seconds = self._random.uniform(0.0, 0.004)
        threading.Timer(seconds, self._end, (future, function, arguments, self._deadly(arguments))).start()
        return future

    def share(self, value: T) -> Shared[T]:
        self.shared.append(value)
        return _Here(value)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        pass

    def _end(self, future: Future[T], function: Callable[..., T], arguments: tuple[Any, ...], dies: bool) -> None:
        with self._lock:
            if future not in self._running:
                return
            if dies:
                self._die(self._running)
                return
            self._running.discard(future)
            try:
                future.set_result(function(*arguments))
            except Exception as error:
                future.set_exception(error)

    def _die(self, futures: Collection[Future[Any]]) -> None:
        for future in list(futures):
            self._running.discard(future)
            future.set_exception(DiedError("killed by signal 9"))
