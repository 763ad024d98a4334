"""Signals: deferred while a file or a thread must not be interrupted, and raised when a time limit is over."""

import faulthandler
import queue
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
#: How long after a signal that came in code where nothing may be raised it is looked at again.
SECONDS_TO_LEAVE = 0.05
# An exception between two of their steps leaves a lock held, or a thread asleep that was to be woken: TensorBoard's
# writer is given its events by such code.
_INDIVISIBLE = {
    each.__code__ for each in (queue.Queue.put, threading.Condition.notify, threading.Event.set, threading.Thread.start)
}
# Compiled functions call it when they return arrays, and crash where it raises an exception.
_INDIVISIBLE_MODULE = "numba.core.serialize"
# Windows has no alarms.
_DEFERRED = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGALRM") if hasattr(signal, name))
# The descriptor, since ``sys.stderr`` may be replaced by an object without one.
_STANDARD_ERROR = 2


def is_indivisible(frame: FrameType | None) -> bool:
    """Return whether a signal found code at work that must not be left by an exception."""
    while frame is not None:
        if frame.f_code in _INDIVISIBLE or frame.f_globals.get("__name__") == _INDIVISIBLE_MODULE:
            return True
        frame = frame.f_back
    return False


@contextmanager
def deferred_signals() -> Iterator[None]:
    """Defer SIGINT, SIGTERM and the ends of time limits until the block is over.

    For calls into libraries whose threads would deadlock if an exception came between two of their steps. A signal mask
    is not enough, since a signal that the main thread blocks is delivered to another thread.
    """
    if not _in_main_thread():
        yield
        return
    arrived: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        arrived.append(number)

    before = {number: signal.getsignal(number) for number in _DEFERRED}
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


@contextmanager
def unlimited() -> Iterator[None]:
    """Defer signals until the block is over, and count its seconds against no time limit that it began under."""
    limits, start = _limits(), time.monotonic()
    with deferred_signals():
        for limit in limits:
            limit.spare_process()
        try:
            yield
        finally:
            for limit in limits:
                limit.extend(time.monotonic() - start)


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
    if not seconds or not _in_main_thread() or not hasattr(signal, "setitimer"):
        return nullcontext()
    return _TimeLimit(seconds, hard)


class _TimeLimit:
    def __init__(self, seconds: float, hard: bool) -> None:
        self.seconds = seconds
        self.hard = hard
        self._error: TimeoutError | None = None

    def __enter__(self) -> None:
        if self.hard:
            self._end_process_after(self.seconds)
        self._start = self._entered = time.monotonic()
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
            left = self._outer_delay - (time.monotonic() - self._entered)
            # A limit that has passed meanwhile is due at once; 0 would switch it off.
            signal.setitimer(signal.ITIMER_REAL, max(left, 1e-3), self._outer_interval)
        if self.hard:
            faulthandler.cancel_dump_traceback_later()
        # Libraries turn exceptions into others, as inspect.signature does.
        if self._error is not None and error is not self._error and self._error in _causes(error):
            raise self._error from error

    def spare_process(self) -> None:
        """Do not end the process until the limit is extended."""
        if self.hard:
            faulthandler.cancel_dump_traceback_later()

    def extend(self, seconds: float) -> None:
        """End so many seconds later."""
        self._start += seconds
        if self.hard:
            self._end_process_after(self.seconds - (time.monotonic() - self._start))

    @property
    def outer(self) -> "_TimeLimit | None":
        """The limit around this one."""
        return _limit_of(self._outer_handler)

    def _end_process_after(self, seconds: float) -> None:
        faulthandler.dump_traceback_later(seconds + GRACE_SECONDS, exit=True, file=_STANDARD_ERROR)

    def _first_delay(self) -> float:
        return min(self.seconds, self._outer_delay) if self._outer_delay else self.seconds

    def _on_alarm(self, number: int, frame: FrameType | None) -> None:
        # Raising in these two would leave the timer running after the block.
        if frame is not None and frame.f_code in (_TimeLimit.__enter__.__code__, _TimeLimit.__exit__.__code__):
            return
        if is_indivisible(frame):
            signal.setitimer(signal.ITIMER_REAL, SECONDS_TO_LEAVE, REPEAT_SECONDS)
            return
        if time.monotonic() - self._start >= self.seconds:
            self._error = TimeoutError(f"took more than {self.seconds:g} s")
            raise self._error
        # An extended limit's alarm may be nobody's.
        is_due = self._outer_delay and time.monotonic() - self._entered >= self._outer_delay
        if is_due and callable(self._outer_handler):
            self._outer_handler(number, frame)


def _in_main_thread() -> bool:
    """Return whether this is the only thread in which Python delivers signals."""
    return threading.current_thread() is threading.main_thread()


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the exceptions that an exception was raised from, or in whose handling."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _limits() -> list[_TimeLimit]:
    """Return the limits that this code runs under, from the innermost; none outside the main thread."""
    if not _in_main_thread() or not hasattr(signal, "SIGALRM"):
        return []
    limits, limit = [], _limit_of(signal.getsignal(signal.SIGALRM))
    while limit is not None:
        limits.append(limit)
        limit = limit.outer
    return limits


def _limit_of(handler: object) -> _TimeLimit | None:
    """Return the limit whose alarms a handler takes."""
    limit = getattr(handler, "__self__", None)
    return limit if isinstance(limit, _TimeLimit) else None
