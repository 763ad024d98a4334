"""Signals that arrive while they are held come afterwards."""

import signal
from collections.abc import Callable, Iterator
from contextlib import ContextDecorator
from types import FrameType

import pytest

from lightning_modules.utilities.signals import deferred_signals, unlimited


@pytest.fixture(autouse=True)
def _heeded() -> Iterator[None]:
    """Give SIGINT its handler back, which a shell may have switched off."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("held", [deferred_signals, unlimited])
def test_a_signal_comes_when_the_work_is_done(held: Callable[[], ContextDecorator]) -> None:
    done = []

    @held()
    def work() -> None:
        signal.raise_signal(signal.SIGINT)
        done.append("work")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["work"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    # A decorated function may be called again.
    with pytest.raises(KeyboardInterrupt):
        work()


def test_an_outer_hold_keeps_what_an_inner_one_lets_go() -> None:
    arrived = []

    def note(number: int, frame: FrameType | None) -> None:
        arrived.append(number)

    before = signal.signal(signal.SIGTERM, note)
    try:
        with deferred_signals():
            with deferred_signals():
                signal.raise_signal(signal.SIGTERM)
            assert arrived == []
        assert arrived == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_signals_that_are_switched_off_stay_so() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with deferred_signals():
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        signal.raise_signal(signal.SIGINT)
