"""Signals end a run wherever they arrive."""

import queue
import signal
import time
from collections.abc import Iterator

import pytest
from pytorch_lightning.utilities.exceptions import SIGTERMException

from lightning_modules.cli.ending_signals import raised_signals


@pytest.fixture(autouse=True)
def _heeded() -> Iterator[None]:
    """Give SIGINT its handler back, which the shell that the tests run in may have switched off."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


endings = pytest.mark.parametrize(
    ("number", "error"), [(signal.SIGTERM, SIGTERMException), (signal.SIGINT, KeyboardInterrupt)]
)


@endings
def test_a_signal_whose_exception_a_destructor_drops_comes_again(
    number: signal.Signals, error: type[BaseException]
) -> None:
    class Dying:
        def __del__(self) -> None:
            signal.raise_signal(number)

    def run() -> None:
        with raised_signals():
            Dying()
            time.sleep(20)

    with pytest.raises(error):
        run()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@endings
def test_a_signal_that_arrives_while_a_queue_is_filled_comes_afterwards(
    number: signal.Signals, error: type[BaseException]
) -> None:
    done = []

    class Interrupted(queue.Queue[int]):
        def _put(self, item: int) -> None:
            signal.raise_signal(number)
            super()._put(item)

    def run() -> None:
        filled = Interrupted()
        with raised_signals():
            filled.put(3)
            # Both locks are free and the event is there.
            done.append(filled.get(timeout=1))
            time.sleep(20)

    with pytest.raises(error):
        run()
    assert done == [3]


def test_an_interrupt_that_is_switched_off_stays_so() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with raised_signals():
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
