"""Signals end a run wherever they arrive."""

import signal
import time

import pytest
from pytorch_lightning.utilities.exceptions import SIGTERMException

from lightning_modules.cli.running import _signals


@pytest.mark.parametrize(("number", "error"), [(signal.SIGTERM, SIGTERMException), (signal.SIGINT, KeyboardInterrupt)])
def test_a_signal_whose_exception_a_destructor_drops_comes_again(
    number: signal.Signals, error: type[BaseException]
) -> None:
    class Dying:
        def __del__(self) -> None:
            signal.raise_signal(number)

    def run() -> None:
        with _signals():
            Dying()
            time.sleep(20)

    # The shell that the tests run in may have switched Ctrl-C off.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(error):
            run()
    finally:
        signal.signal(signal.SIGINT, before)
