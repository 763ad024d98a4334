"""What every executor does alike."""

from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, wait

import pytest
import torch

from lightning_modules.training.executors import EXECUTORS, ExecutorOptions, TrainingExecutor, executor_named
from tests.training.executors import executor_calls as calls

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module", params=["serial", "process", "ray"])
def executor(request: pytest.FixtureRequest) -> Iterator[TrainingExecutor]:
    if request.param == "ray":
        pytest.importorskip("ray")
    with executor_named(request.param, ExecutorOptions(workers=2)) as executor:
        yield executor


def test_results_are_those_of_a_plain_call(executor: TrainingExecutor) -> None:
    futures = [executor.submit(calls.draw, seed) for seed in range(4)]
    for seed, future in enumerate(futures):
        torch.testing.assert_close(future.result(), calls.draw(seed), rtol=0, atol=0)


def test_options_and_waiting_work(executor: TrainingExecutor) -> None:
    futures = {executor.submit(calls.draw, seed=seed) for seed in range(2)}
    done, _ = wait(futures, return_when=FIRST_COMPLETED)
    assert done
    assert {tuple(future.result().tolist()) for future in futures} == {tuple(calls.draw(s).tolist()) for s in range(2)}


def test_an_exception_is_the_futures(executor: TrainingExecutor) -> None:
    future = executor.submit(calls.fail, "no such thing")
    with pytest.raises(LookupError, match="no such thing"):
        future.result()
    assert not isinstance(future.exception(), executor.deaths)


def test_functions_of_scripts_travel(executor: TrainingExecutor) -> None:
    offset = 5
    assert executor.submit(lambda value: value + offset, 2).result() == 7


def test_shared_values_arrive_whole_and_once_a_worker(executor: TrainingExecutor) -> None:
    values = torch.arange(100_000, dtype=torch.float32)
    shared = executor.share(values)
    assert executor.submit(calls.total, shared).result() == values.double().sum().item()
    first, second = executor.submit(calls.identities, shared).result()
    assert first == second
    assert torch.equal(shared.get(), values)


def test_lambdas_can_be_shared(executor: TrainingExecutor) -> None:
    shared = executor.share({"function": lambda value: value * 3})
    assert executor.submit(lambda handle: handle.get()["function"](2), shared).result() == 6


def test_a_worker_says_that_it_is_one(executor: TrainingExecutor) -> None:
    own = calls.describe()["pid"]
    worker = executor.submit(calls.describe).result()
    assert worker["worker"] == (worker["pid"] != own)
    assert worker["threads"] == 1


def test_a_time_limit_holds_in_workers(executor: TrainingExecutor) -> None:
    assert executor.submit(calls.sleep_limited, 30, 0.2).result() == "took more than 0.2 s"


def test_a_worker_that_does_not_react_to_its_limit_dies(executor: TrainingExecutor) -> None:
    if not executor.deaths:
        pytest.skip("its calls run in the driver")
    with pytest.raises(executor.deaths):
        executor.submit(calls.hang_limited, 30, 0.2).result()


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match="'threads'; name one of serial, process, ray"):
        executor_named("threads")


def test_every_kind_has_a_builder() -> None:
    assert list(EXECUTORS) == ["serial", "process", "ray"]


@pytest.mark.parametrize("name", ["process", "ray"])
@pytest.mark.parametrize("options", [ExecutorOptions(workers=-1), ExecutorOptions(threads=-1)])
def test_negative_numbers_are_refused(name: str, options: ExecutorOptions) -> None:
    if name == "ray":
        pytest.importorskip("ray")
    with pytest.raises(ValueError, match="cannot be negative"):
        executor_named(name, options)
