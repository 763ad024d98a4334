"""Signals: deferred while a file or a thread must not be interrupted, and raised when a time limit is over."""

import faulthandler
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import FrameType, TracebackType

#: An exception raised in a destructor is dropped by Python, so it is raised again after so many seconds.
REPEAT_SECONDS = 1.0
#: How long after the limit a process that did not react to it is ended.
GRACE_SECONDS = 5.0
# The descriptor, since ``sys.stderr`` may be replaced by an object without one.
_STANDARD_ERROR = 2


@contextmanager
def deferred_signals() -> Iterator[None]:
    """Defer SIGINT and SIGTERM until the block is over.

    For calls into libraries whose threads would deadlock if an exception came between two of their steps. A signal mask
    is not enough, since a signal that the main thread blocks is delivered to another thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        arrived.append(number)

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    held = {number: handler for number, handler in before.items() if callable(handler)}
    try:
        for number in held:
            signal.signal(number, note)
        yield
    finally:
        for number, handler in held.items():
            signal.signal(number, handler)
        for late in arrived:
            signal.raise_signal(late)


def time_limit(seconds: float, *, hard: bool = False) -> AbstractContextManager[object]:
    """Return a context in which ``TimeoutError`` is raised after so many seconds, again and again until it is left.

    Limits nest. There is none outside the main thread, the only one in which Python delivers signals, and on systems
    without interval timers.

    Args:
        seconds: The limit; 0 for none.
        hard: End the whole process with status 1 some seconds after the limit if the block is still running, as one
            that hangs in C code is. Only for a process whose end ends nothing else; hard limits do not nest.

    Raises:
        ValueError: If the limit is negative.
    """
    if seconds < 0:
        raise ValueError(f"a time limit of {seconds:g} s; it cannot be negative, and 0 sets none")
    if not seconds or threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        return nullcontext()
    return _TimeLimit(seconds, hard)


class _TimeLimit:
    def __init__(self, seconds: float, hard: bool) -> None:
        self.seconds = seconds
        self.hard = hard

    def __enter__(self) -> None:
        if self.hard:
            faulthandler.dump_traceback_later(self.seconds + GRACE_SECONDS, exit=True, file=_STANDARD_ERROR)
        self._start = time.monotonic()
        self._outer_handler = signal.signal(signal.SIGALRM, self._on_alarm)
        self._outer_delay, self._outer_interval = signal.getitimer(signal.ITIMER_REAL)
        signal.setitimer(signal.ITIMER_REAL, self._first_delay(), REPEAT_SECONDS)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # Python looks for signals at the start of a call, that of this method included: see _on_alarm.
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, self._outer_handler)
        if self._outer_delay:
            left = self._outer_delay - (time.monotonic() - self._start)
            # A limit that has passed meanwhile is due at once; 0 would switch it off.
            signal.setitimer(signal.ITIMER_REAL, max(left, 1e-3), self._outer_interval)
        if self.hard:
            faulthandler.cancel_dump_traceback_later()

    def _first_delay(self) -> float:
        return min(self.seconds, self._outer_delay) if self._outer_delay else self.seconds

    def _on_alarm(self, number: int, frame: FrameType | None) -> None:
        # Raising in these two would leave the timer running after the block.
        if frame is not None and frame.f_code in (_TimeLimit.__enter__.__code__, _TimeLimit.__exit__.__code__):
            return
        if time.monotonic() - self._start >= self.seconds:
            raise TimeoutError(f"took more than {self.seconds:g} s")
        if callable(self._outer_handler):
            self._outer_handler(number, frame)
