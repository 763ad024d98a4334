import pytest
import torch

from lightning_modules.training.executors import SerialExecutor
from tests.training.executors import executor_calls as calls


def test_a_call_runs_while_it_is_submitted() -> None:
    seen: list[int] = []
    future = SerialExecutor().submit(seen.append, 1)
    assert seen == [1]
    assert future.done()


def test_an_interrupt_is_raised_at_once() -> None:
    with pytest.raises(KeyboardInterrupt):
        SerialExecutor().submit(calls.interrupt)


def test_shared_values_are_the_values() -> None:
    value = object()
    assert SerialExecutor().share(value).get() is value


def test_one_at_a_time_and_no_deaths() -> None:
    executor = SerialExecutor()
    assert executor.slots == 1
    assert executor.deaths == ()


def test_a_call_has_the_threads_asked_for_and_what_comes_after_has_its_own() -> None:
    before = torch.get_num_threads()
    for threads, expected in ((before + 1, before + 1), (0, before)):
        assert SerialExecutor(threads).submit(torch.get_num_threads).result() == expected
        assert torch.get_num_threads() == before
