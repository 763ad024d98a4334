import ast
import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from setuptools import find_packages
from torch import nn

from lightning_modules.training.executors import RayExecutor, ray_connection
from tests.training.executors import executor_calls as calls

pytestmark = pytest.mark.timeout(180)
ROOT = Path(__file__).resolve().parents[3]


def test_without_ray_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ValueError, match=r"pip install -e '\.\[ray\]'"):
        RayExecutor()


@pytest.mark.parametrize(
    ("gpus", "resources", "slots"),
    [
        (0, {"CPU": 4.0}, 4),
        (0, {}, 0),
        (0.25, {"CPU": 16.0, "GPU": 1.0}, 4),
        (0.25, {"CPU": 3.0, "GPU": 1.0}, 3),
        (1 / 3, {"CPU": 16.0, "GPU": 2.0}, 6),
        (2, {"CPU": 16.0, "GPU": 5.0}, 2),
        (1, {"CPU": 16.0}, 0),
    ],
)
def test_slots_of_a_node(gpus: float, resources: dict[str, float], slots: int) -> None:
    assert ray_connection._slots(resources, gpus) == slots


def test_every_package_that_a_pickled_model_may_refer_to_is_sent() -> None:
    setup = (ROOT / "setup.py").read_text(encoding="utf-8")
    patterns = re.search(r"find_packages\(include=(\[.*?\])\)", setup)
    assert patterns is not None
    installed = find_packages(str(ROOT), include=ast.literal_eval(patterns[1]))
    sent = [Path(folder) for folder in ray_connection._environment()["py_modules"]]
    assert {folder.name for folder in sent} == {name.partition(".")[0] for name in installed}
    assert all((folder / "__init__.py").is_file() for folder in sent)


def test_several_gpus_are_whole_ones() -> None:
    with pytest.raises(ValueError, match=r"1\.5 GPUs"):
        RayExecutor(gpus_per_child=1.5)


@pytest.fixture(scope="module")
def executor() -> Iterator[RayExecutor]:
    pytest.importorskip("ray")
    with RayExecutor(workers=2) as executor:
        yield executor


def test_slots(executor: RayExecutor) -> None:
    assert executor.slots == 2


def test_a_crash_is_a_death_and_ray_does_not_repeat_it(executor: RayExecutor, tmp_path: Path) -> None:
    marker = tmp_path / "runs"
    with pytest.raises(executor.deaths):
        executor.submit(calls.count_and_kill_self, str(marker)).result()
    shared = executor.share(torch.ones(100_000))
    assert executor.submit(calls.total, shared).result() == 100_000
    assert marker.read_text() == "x"


def test_a_crash_leaves_other_calls_alone(executor: RayExecutor) -> None:
    other = executor.submit(calls.pid_after, 1)
    with pytest.raises(executor.deaths):
        executor.submit(calls.kill_self).result()
    assert other.result() > 0


def test_an_exception_is_the_functions_own(executor: RayExecutor) -> None:
    error = executor.submit(calls.fail, "no such thing").exception()
    assert type(error) is LookupError
    assert str(error) == "no such thing"


def test_modules_can_be_trained_in_a_worker(executor: RayExecutor) -> None:
    module = nn.Linear(300, 300)
    shared = executor.share(module)
    assert executor.submit(train_twice, shared).result()
    assert torch.equal(shared.get().weight, module.weight)


def test_calls_that_ray_cannot_pickle_fail_alone(executor: RayExecutor) -> None:
    with pytest.raises(TypeError):
        executor.submit(calls.draw, iter_open_file()).result()
    assert executor.submit(calls.pid_after, 0).result() > 0


def test_a_second_executor_uses_the_same_cluster_and_leaves_it(executor: RayExecutor) -> None:
    with RayExecutor(workers=1) as second:
        second.submit(calls.pid_after, 0).result()
    assert executor.submit(calls.pid_after, 0).result() > 0
    with pytest.raises(RuntimeError, match="after shutdown"):
        second.submit(calls.pid_after, 0)


def test_running_calls_are_killed_on_request(executor: RayExecutor, tmp_path: Path) -> None:
    second = RayExecutor(workers=1)
    future = second.submit(write_after, 3, str(tmp_path / "late"))
    time.sleep(0.5)
    start = time.monotonic()
    second.shutdown(cancel_futures=True)
    assert time.monotonic() - start < 3
    assert future.exception() is not None
    time.sleep(3)
    assert not (tmp_path / "late").exists()


def test_gpus_that_are_not_there_are_named(executor: RayExecutor) -> None:
    with pytest.raises(ValueError, match="no node of the Ray cluster has a CPU and 1 GPUs"):
        RayExecutor(gpus_per_child=1)


def train_twice(shared: Any) -> bool:
    module = shared.get()
    with torch.no_grad():
        module.weight.add_(1)
    return True


def iter_open_file() -> Any:
    return open(os.devnull)


def write_after(seconds: float, path: str) -> None:
    time.sleep(seconds)
    Path(path).write_text("late")
