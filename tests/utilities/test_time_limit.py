import faulthandler
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from lightning_modules.utilities.signals import time_limit, unlimited

pytestmark = pytest.mark.timeout(60)


def test_a_block_that_takes_too_long_is_ended() -> None:
    start = time.monotonic()
    with pytest.raises(TimeoutError, match=r"^took more than 0\.2 s$"), time_limit(0.2):
        time.sleep(30)
    assert 0.2 <= time.monotonic() - start < 1


def test_a_busy_block_is_ended() -> None:
    with pytest.raises(TimeoutError), time_limit(0.1):
        spin(30)


def test_a_quick_block_is_left_alone() -> None:
    with time_limit(0.2):
        value = 1
    time.sleep(0.4)
    assert value == 1


def test_zero_is_no_limit() -> None:
    with time_limit(0.0):
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 1 or signal.getitimer(signal.ITIMER_REAL)[0] == 0


def test_a_negative_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be negative"):
        time_limit(-1.0)


def test_handler_and_timer_are_as_they_were() -> None:
    handler, (delay, _) = signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)
    assert delay > 5, "the test run's own limit is to be there"
    with time_limit(0.5):
        assert signal.getsignal(signal.SIGALRM) != handler
        time.sleep(0.2)
    assert signal.getsignal(signal.SIGALRM) == handler
    left, interval = signal.getitimer(signal.ITIMER_REAL)
    assert delay - 1 < left < delay - 0.15
    assert interval == 0


def test_they_are_after_a_limit_that_was_exceeded() -> None:
    handler, (delay, _) = signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)
    with pytest.raises(TimeoutError), time_limit(0.1):
        time.sleep(5)
    assert signal.getsignal(signal.SIGALRM) == handler
    assert delay - 1 < signal.getitimer(signal.ITIMER_REAL)[0] < delay


def spin(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


class Slow:
    def __del__(self) -> None:
        spin(0.3)


def be_slow_twice() -> None:
    Slow()
    time.sleep(30)


def swallow_and_sleep() -> None:
    try:
        time.sleep(30)
    except TimeoutError:
        time.sleep(30)


def sleep_after_an_inner_limit() -> None:
    with time_limit(10):
        time.sleep(0.2)
    time.sleep(5)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_exception_that_a_destructor_swallows_is_raised_again() -> None:
    start = time.monotonic()
    with pytest.raises(TimeoutError), time_limit(0.1):
        be_slow_twice()
    assert 1 < time.monotonic() - start < 2


def test_one_that_the_block_swallows_is_raised_again() -> None:
    with pytest.raises(TimeoutError), time_limit(0.1):
        swallow_and_sleep()


def sleep_and_turn_errors_into_others() -> None:
    try:
        time.sleep(30)
    except Exception as error:
        raise TypeError("unsupported callable") from error


def test_one_that_the_block_turns_into_another_stays_what_it_was() -> None:
    with pytest.raises(TimeoutError, match=r"^took more than 0\.1 s$"), time_limit(0.1):
        sleep_and_turn_errors_into_others()


def test_another_error_of_the_block_stays_what_it_is() -> None:
    with pytest.raises(KeyError), time_limit(5):
        raise KeyError


def test_the_inner_of_two_limits_ends_the_inner_block() -> None:
    with time_limit(20):
        with pytest.raises(TimeoutError, match=r"0\.1 s"), time_limit(0.1):
            time.sleep(5)
        assert 10 < signal.getitimer(signal.ITIMER_REAL)[0] < 20


def test_the_outer_of_two_limits_ends_the_inner_block() -> None:
    with pytest.raises(TimeoutError, match=r"0\.1 s"), time_limit(0.1), time_limit(20):
        time.sleep(5)


def test_the_outer_limit_goes_on_after_the_inner_block() -> None:
    start = time.monotonic()
    with pytest.raises(TimeoutError, match=r"0\.5 s"), time_limit(0.5):
        sleep_after_an_inner_limit()
    assert 0.5 <= time.monotonic() - start < 1


def be_unlimited_and_sleep() -> None:
    with unlimited(), unlimited():
        time.sleep(0.5)
    time.sleep(30)


def test_what_is_unlimited_counts_against_no_limit() -> None:
    start = time.monotonic()
    with pytest.raises(TimeoutError, match=r"0\.3 s"), time_limit(0.3), time_limit(20):
        be_unlimited_and_sleep()
    # The alarm is repeated once a second.
    assert 0.8 <= time.monotonic() - start < 2.5


def test_limits_that_end_with_their_block_never_leave_a_timer() -> None:
    """Blocks about as long as the limit, so that signals meet every line of entering and leaving."""
    handler = signal.getsignal(signal.SIGALRM)
    for number in range(300):
        try:
            with time_limit(0.0002 + number * 1e-6):
                spin(0.0003)
        except TimeoutError:
            pass
        assert signal.getsignal(signal.SIGALRM) == handler
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 5


def test_other_threads_have_no_limit() -> None:
    ends: list[str] = []

    def work() -> None:
        with time_limit(0.05):
            time.sleep(0.2)
        ends.append("done")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert ends == ["done"]


def run(script: str) -> subprocess.CompletedProcess[str]:
    root = str(Path(__file__).resolve().parents[2])
    script = f"import sys; sys.path.insert(0, {root!r})\n{script}"
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=40)


HANG = """
import signal, time
from lightning_modules.utilities import signals as limits
limits.GRACE_SECONDS = 0.3
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
with limits.time_limit(0.3, hard=True):
    time.sleep(30)
"""


def test_a_process_that_does_not_react_is_ended() -> None:
    start = time.monotonic()
    ended = run(HANG)
    assert ended.returncode == 1
    assert "Timeout" in ended.stderr
    assert time.monotonic() - start < 20


def test_a_hard_limit_ends_with_its_block() -> None:
    ended = run(HANG.replace("time.sleep(30)", "pass") + "time.sleep(1)\nprint('alive')")
    assert (ended.returncode, ended.stdout) == (0, "alive\n")


def test_what_is_unlimited_ends_no_process() -> None:
    # The limit and its grace are over before the block is.
    block = "with limits.unlimited():\n        time.sleep(2)\n    print('alive')"
    ended = run(HANG.replace("time.sleep(30)", block))
    assert (ended.returncode, ended.stdout) == (0, "alive\n")


COMPILED = """
from typing import NamedTuple
import numba
from lightning_modules.utilities.signals import time_limit
class Pair(NamedTuple):
    first: int
    second: int
kernel = numba.njit(lambda number: Pair(number, number))
kernel(1)
for _ in range(60):
    try:
        with time_limit(0.001):
            while True:
                kernel(1)
    except TimeoutError:
        pass
print("alive")
"""


def test_a_limit_that_ends_in_a_compiled_function_crashes_no_process() -> None:
    ended = run(COMPILED)
    assert (ended.returncode, ended.stdout) == (0, "alive\n"), ended.stderr


def test_a_soft_limit_ends_no_process() -> None:
    ended = run(HANG.replace("hard=True", "").replace("time.sleep(30)", "time.sleep(1)") + "print('alive')")
    assert "alive" in ended.stdout or "TimeoutError" in ended.stderr


def test_the_crash_reports_of_the_test_run_are_left_on() -> None:
    enabled = faulthandler.is_enabled()
    with time_limit(5):
        pass
    assert faulthandler.is_enabled() == enabled
    assert os.getpid() > 0
