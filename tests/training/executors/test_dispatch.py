"""Calls end in any order and workers die; none is lost, none fails of another one, and jobs go on side by side."""

from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

import pytest

from lightning_modules.training.executors import SerialExecutor
from lightning_modules.training.executors.dispatch import Call, Death, Job, dispatch, run_jobs
from tests.training.executors.fake_executor import FakeExecutor

pytestmark = pytest.mark.timeout(60)


def double(number: int) -> int:
    return 2 * number


def run(executor: Any, count: int, function: Any = double) -> tuple[dict[int, Any], list[int]]:
    """Return what was told of every call, and the numbers in the order in which they were yielded."""
    told: dict[int, Any] = {}

    def on_done(number: int, result: Any) -> None:
        assert number not in told
        told[number] = result

    yielded = []
    for number in dispatch(executor, function, [(each,) for each in range(count)], on_done):
        assert number in told
        yielded.append(number)
    return told, yielded


@pytest.mark.parametrize("slots", [1, 2, 5, 50])
def test_every_call_is_told_once_and_no_more_run_than_there_are_slots(slots: int) -> None:
    executor = FakeExecutor(slots, seed=slots)
    told, yielded = run(executor, 20)
    assert told == {number: 2 * number for number in range(20)}
    assert sorted(yielded) == list(range(20))
    assert min(slots, 2) <= executor.most_running <= slots
    assert run(FakeExecutor(), 0) == ({}, [])


@pytest.mark.parametrize("seed", range(5))
def test_a_deadly_call_alone_is_lost(seed: int) -> None:
    executor = FakeExecutor(3, seed, deadly=lambda arguments: arguments[0] in (4, 11))
    told, yielded = run(executor, 15)
    assert sorted(yielded) == list(range(15))
    assert [number for number, result in told.items() if isinstance(result, Death)] == [4, 11]
    assert told[4] == Death("killed by signal 9")
    assert all(told[number] == 2 * number for number in range(15) if number not in (4, 11))
    tries = [sum(arguments == (number,) for arguments in executor.submitted) for number in range(15)]
    assert tries[4] == tries[11] == 2
    assert set(tries) <= {1, 2}
    # Second tries come last, and alone.
    assert executor.beside[15:] == [0] * (len(executor.submitted) - 15)


def test_a_call_that_dies_once_is_repeated() -> None:
    dying = [3]

    def deadly(arguments: tuple[Any, ...]) -> bool:
        dies = arguments[0] in dying
        if dies:
            dying.remove(arguments[0])
        return dies

    told, _ = run(FakeExecutor(2, deadly=deadly), 6)
    assert told == {number: 2 * number for number in range(6)}


class Slow(FakeExecutor):
    """Ends the first call alone; the others are over when the caller looks again."""

    def submit(self, function: Any, /, *arguments: Any, **options: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        self.submitted.append(arguments)
        self.pending = [*getattr(self, "pending", []), (future, function(*arguments))]
        if arguments == (0,):
            future.set_result(function(*arguments))
        return future


def test_an_interrupted_run_tells_what_is_done() -> None:
    executor, told = Slow(4), {}
    numbers = dispatch(executor, double, [(each,) for each in range(9)], told.__setitem__)
    assert next(numbers) == 0
    for future, result in executor.pending[1:3]:
        future.set_result(result)
    executor.pending[3][0].set_exception(executor.deaths[0]("late"))
    with pytest.raises(KeyboardInterrupt):
        numbers.throw(KeyboardInterrupt)
    assert told == {0: 0, 1: 2, 2: 4}


def test_closing_a_run_tells_what_is_done_too() -> None:
    executor, told = Slow(2), {}
    numbers = dispatch(executor, double, [(each,) for each in range(3)], told.__setitem__)
    next(numbers)
    future, result = executor.pending[1]
    future.set_result(result)
    numbers.close()
    assert told == {0: 0, 1: 2}


def test_an_exception_of_a_call_is_the_callers() -> None:
    def fail(number: int) -> int:
        raise ValueError(f"call {number}")

    with pytest.raises(ValueError, match="call 0"):
        run(SerialExecutor(), 3, fail)
    with pytest.raises(ValueError, match="call"):
        run(FakeExecutor(2), 3, fail)


class Told:
    """Jobs of some batches of calls, and what was told of these in its order."""

    def __init__(self) -> None:
        self.started: list[tuple[int, int]] = []
        self.done: list[tuple[int, int]] = []
        self.results: dict[tuple[int, int], Any] = {}

    def job(self, number: int, sizes: Sequence[int]) -> Job[int]:
        """Yield calls of :func:`double`, and return how many."""
        first = 0
        for size in sizes:
            places = range(first, first + size)
            yield [self._call((number, place)) for place in places]
            # All of a batch are done, and nothing of the next one.
            assert {each for owner, each in self.done if owner == number} == set(range(first + size))
            first += size
        return first

    def _call(self, key: tuple[int, int]) -> Call:
        def on_done(result: Any) -> None:
            self.done.append(key)
            self.results[key] = result

        return Call(double, (10 * key[0] + key[1],), on_done, lambda: self.started.append(key))


JOBS = [[2, 3], [1], [], [0, 2, 0], [4, 1, 1]]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("slots", [1, 2, 4, 50])
def test_jobs_go_on_when_their_calls_are_done_and_each_ends_once(slots: int, seed: int) -> None:
    told, executor = Told(), FakeExecutor(slots, seed)
    ended = dict(run_jobs(executor, (told.job(number, sizes) for number, sizes in enumerate(JOBS))))
    assert ended == {number: sum(sizes) for number, sizes in enumerate(JOBS)}
    expected = [(number, place) for number, sizes in enumerate(JOBS) for place in range(sum(sizes))]
    assert sorted(told.started) == sorted(told.done) == expected
    assert told.results == {key: 2 * (10 * key[0] + key[1]) for key in expected}
    assert executor.most_running <= slots
    if slots == 1:
        # One after the other, as a loop over the jobs would do it.
        assert told.started == told.done == expected


def test_a_job_begins_when_those_before_it_leave_a_slot_free() -> None:
    told = Told()
    jobs = (told.job(number, sizes) for number, sizes in enumerate([[2, 1], [2], [1]]))
    assert dict(run_jobs(FakeExecutor(3), jobs)) == {0: 3, 1: 2, 2: 1}
    assert told.started[:3] == [(0, 0), (0, 1), (1, 0)]


@pytest.mark.parametrize("seed", range(3))
def test_a_deadly_call_of_a_job_is_told_and_the_job_goes_on(seed: int) -> None:
    told, executor = Told(), FakeExecutor(3, seed, deadly=lambda arguments: arguments[0] == 1)
    ended = dict(run_jobs(executor, (told.job(number, sizes) for number, sizes in enumerate(JOBS))))
    assert ended == {number: sum(sizes) for number, sizes in enumerate(JOBS)}
    assert told.results.pop((0, 1)) == Death("killed by signal 9")
    assert told.results == {key: 2 * (10 * key[0] + key[1]) for key in told.results}
