"""Workers of a stated speed, whose time passes on a clock of its own, so that nobody waits for them."""

import pickle
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from heapq import heapify, heapreplace
from typing import Any, NamedTuple, TypeVar
from unittest import mock

import cloudpickle

from lightning_modules.training.executors import ProcessExecutor, Shared, TrainingExecutor

T = TypeVar("T")
_WAIT = "lightning_modules.training.executors.dispatch.wait"


class VirtualClock:
    """The processor time of this process without what it computes for others, plus the time that it waits for them."""

    def __init__(self) -> None:
        self._elsewhere = 0.0
        self._waited = 0.0

    def busy(self) -> float:
        """Return the seconds that this process has computed for itself."""
        return time.process_time() - self._elsewhere

    def now(self) -> float:
        """Return the moment in seconds."""
        return self.busy() + self._waited

    def wait_until(self, moment: float) -> None:
        """Let time pass up to a moment, if that is still to come."""
        self._waited += max(0.0, moment - self.now())

    @contextmanager
    def elsewhere(self) -> Iterator[None]:
        """Let what is computed take no time."""
        begin = time.process_time()
        try:
            yield
        finally:
            self._elsewhere += time.process_time() - begin


class _Finished(NamedTuple):
    done: set["Future[Any]"]
    not_done: set["Future[Any]"]


class SimulatedWorkers(TrainingExecutor):
    """Workers, each of which takes so many seconds for a call, on a virtual clock.

    Calls and results are pickled and unpickled as if they were sent to another process: what the driver does of that
    is on the clock, the other half and the call itself are not.

    Args:
        slots: Number of workers.
        seconds: How long each takes for a call.
        clock: The clock.

    Attributes:
        sent: Bytes of every call.
        received: Bytes of every result.
    """

    def __init__(self, slots: int, seconds: float, clock: VirtualClock) -> None:
        self.slots = slots
        self.seconds = seconds
        self.clock = clock
        self.sent: list[int] = []
        self.received: list[int] = []
        # It starts a process at the first call, and there is none.
        self._store = ProcessExecutor(workers=1)
        self._free = [0.0] * slots
        heapify(self._free)
        self._running: dict[Future[Any], tuple[float, bytes]] = {}

    def submit(self, function: Callable[..., T], /, *arguments: Any, **options: Any) -> "Future[T]":
        """Give a call to the worker that is free first."""
        message = cloudpickle.dumps((function, arguments, options))
        with self.clock.elsewhere():
            function, arguments, options = pickle.loads(message)
            answer = pickle.dumps(function(*arguments, **options))
        end = max(self.clock.now(), self._free[0]) + self.seconds
        heapreplace(self._free, end)
        future: Future[T] = Future()
        self._running[future] = end, answer
        self.sent.append(len(message))
        self.received.append(len(answer))
        return future

    def share(self, value: T) -> Shared[T]:
        """Write the value to a temporary folder."""
        return self._store.share(value)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Remove what was shared."""
        self._store.shutdown(wait, cancel_futures=cancel_futures)

    def wait(self, futures: Iterable["Future[Any]"], return_when: str) -> _Finished:  # noqa: ARG002
        """Let time pass until the first of the futures is done, in place of ``concurrent.futures.wait``."""
        waiting = set(futures)
        self.clock.wait_until(min(self._running[future][0] for future in waiting))
        done = {future for future in waiting if self._running[future][0] <= self.clock.now()}
        for future in done:
            future.set_result(pickle.loads(self._running.pop(future)[1]))
        return _Finished(done, waiting - done)

    @contextmanager
    def waited_for(self) -> Iterator[None]:
        """Let searches wait on the virtual clock."""
        with mock.patch(_WAIT, self.wait):
            yield
