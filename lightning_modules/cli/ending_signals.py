"""SIGINT and SIGTERM: raised as exceptions where one may be raised, and a moment later where not."""

import _thread
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from lightning_modules.utilities.signals import SECONDS_TO_LEAVE, is_indivisible


class TerminatedError(SystemExit):
    """SIGTERM has ended a command that does without Lightning."""


def of_lightning(package: str, error: str, other: type[BaseException]) -> type[BaseException]:
    """Return an error of Lightning, or another where that is not imported."""
    found: type[BaseException] = getattr(sys.modules.get(f"{package}.utilities.exceptions"), error, other)
    return found


def terminated() -> type[BaseException]:
    """Return what SIGTERM raises: Lightning's exception once that is imported."""
    return of_lightning("pytorch_lightning", "SIGTERMException", TerminatedError)


@contextmanager
def raised_signals() -> Iterator[None]:
    """Raise SIGINT and SIGTERM as exceptions in the block, and restore their handlers afterwards.

    Lightning 2.6 disables Ctrl-C and leaves with status 0 after SIGTERM in a fit, and outside of one the process would
    die at once, without formulas.csv.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    hook, sys.unraisablehook = sys.unraisablehook, _repeat_if_lost
    signal.signal(signal.SIGTERM, _raise)
    # Whoever has switched Ctrl-C off, as a shell does for commands in the background, is obeyed.
    if before[signal.SIGINT] is signal.default_int_handler:
        signal.signal(signal.SIGINT, _raise)
    try:
        yield
    finally:
        sys.unraisablehook = hook
        for number, handler in before.items():
            signal.signal(number, handler)


def _raise(number: int, frame: FrameType | None) -> None:
    if is_indivisible(frame):
        _repeat(number)
    elif number == signal.SIGINT:
        raise KeyboardInterrupt
    else:
        raise terminated()


def _repeat_if_lost(unraisable: "sys.UnraisableHookArgs") -> None:
    """Deliver a signal again that arrived inside a destructor, where Python drops the exception that it raised.

    A search or comparison destroys hundreds of Trainers, so that this happens.
    """
    number = {KeyboardInterrupt: signal.SIGINT, terminated(): signal.SIGTERM}.get(unraisable.exc_type)
    if number is None:
        sys.__unraisablehook__(unraisable)
    else:
        _repeat(number)


def _repeat(number: int) -> None:
    def send() -> None:
        time.sleep(SECONDS_TO_LEAVE)
        os.kill(os.getpid(), number)

    # A ``threading.Thread`` takes locks that the interrupted code may hold.
    _thread.start_new_thread(send, ())
