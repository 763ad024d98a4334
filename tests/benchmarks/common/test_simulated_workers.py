"""Workers whose time passes on a clock of its own."""

import time

import pytest

from benchmarks.common.simulated_workers import SimulatedWorkers, VirtualClock
from lightning_modules.training.executors.dispatch import dispatch


def square(number: int) -> int:
    return number**2


def work(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def run(workers: SimulatedWorkers, calls: int) -> dict[int, int]:
    results: dict[int, int] = {}
    with workers.waited_for():
        for _ in dispatch(workers, square, [(number,) for number in range(calls)], results.__setitem__):  # type: ignore[arg-type]
            pass
    return results


@pytest.mark.parametrize(("slots", "rounds"), [(1, 5), (2, 3), (5, 1), (9, 1)])
def test_calls_take_as_long_as_the_workers_need(slots: int, rounds: int) -> None:
    clock = VirtualClock()
    workers, begin, real = SimulatedWorkers(slots, 1000.0, clock), clock.now(), time.perf_counter()
    assert run(workers, 5) == {number: number**2 for number in range(5)}
    assert clock.now() - begin == pytest.approx(1000.0 * rounds, rel=1e-3)
    assert time.perf_counter() - real < 100.0
    assert len(workers.sent) == len(workers.received) == 5
    workers.shutdown()


def test_what_the_driver_computes_takes_time_and_what_others_do_takes_none() -> None:
    clock = VirtualClock()
    begin = clock.now(), clock.busy()
    with clock.elsewhere():
        work(0.2)
    work(0.05)
    clock.wait_until(begin[0] + 10)
    clock.wait_until(begin[0] + 5)
    assert clock.busy() - begin[1] == pytest.approx(0.05, abs=0.04)
    assert clock.now() - begin[0] == pytest.approx(10, abs=0.04)


def test_what_is_shared_can_be_read_and_is_removed() -> None:
    workers = SimulatedWorkers(1, 1.0, VirtualClock())
    assert workers.share([1, 2]).get() == [1, 2]
    workers.shutdown()
