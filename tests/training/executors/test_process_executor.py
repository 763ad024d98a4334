import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import loky
import pytest
import torch

from lightning_modules.training.executors import ProcessExecutor, worker
from tests.training.executors import executor_calls as calls

pytestmark = pytest.mark.timeout(120)
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def executor() -> Iterator[ProcessExecutor]:
    with ProcessExecutor(workers=2) as executor:
        yield executor


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()


def wait_until(condition, seconds: float = 15) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


def test_slots(executor: ProcessExecutor) -> None:
    assert executor.slots == 2
    assert ProcessExecutor().slots == loky.cpu_count()


def described_by_two(executor: ProcessExecutor, folder: Path) -> list[dict[str, Any]]:
    futures = [executor.submit(calls.describe_when_met, str(folder), 2) for _ in range(2)]
    return [future.result() for future in futures]


def test_calls_run_side_by_side(executor: ProcessExecutor, tmp_path: Path) -> None:
    pids = {each["pid"] for each in described_by_two(executor, tmp_path)}
    assert len(pids) == 2
    assert os.getpid() not in pids


def test_workers_leave_ctrl_c_to_the_driver_and_obey_terminate(executor: ProcessExecutor) -> None:
    seen = executor.submit(calls.describe).result()
    assert seen["sigint"] is signal.SIG_IGN
    assert seen["sigterm"] is signal.SIG_DFL


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="reads Linux's memory map")
def test_workers_share_the_memory_of_a_shared_tensor(executor: ProcessExecutor) -> None:
    tensor = torch.rand(50 * 2**20 // 4)
    shared = executor.share(tensor)
    seen = [future.result() for future in [executor.submit(calls.mapping_of, shared) for _ in range(2)]]
    assert len({pid for pid, _, _ in seen}) == 2
    assert len({file for _, file, _ in seen}) == 1
    assert seen[0][1].endswith(".npy")
    assert max(own for _, _, own in seen) < 2**20


def test_writing_changes_the_workers_own_copy_alone(executor: ProcessExecutor) -> None:
    shared = executor.share(torch.zeros(100_000))
    assert executor.submit(calls.add_in_place, shared).result() == 100_000
    assert shared.get().sum() == 0


def test_the_value_is_the_one_of_the_time_of_sharing(executor: ProcessExecutor) -> None:
    tensor = torch.zeros(100_000)
    shared = executor.share(tensor)
    tensor.fill_(1)
    assert executor.submit(calls.total, shared).result() == 0


def test_what_nobody_holds_any_more_is_removed(executor: ProcessExecutor) -> None:
    shared = executor.share(torch.zeros(100_000))
    folder = Path(shared.folder)
    assert folder.is_dir()
    del shared
    assert not folder.exists()


def test_a_killed_worker_is_a_death_and_the_executor_works_again(executor: ProcessExecutor) -> None:
    shared = executor.share(torch.ones(100_000))
    with pytest.raises(executor.deaths):
        executor.submit(calls.kill_self).result()
    assert executor.submit(calls.total, shared).result() == 100_000


@pytest.mark.slow
def test_warnings_are_as_quiet_as_the_drivers() -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="a thing to know")
        with ProcessExecutor(workers=1) as quiet:
            assert quiet.submit(calls.warn).result() == 0
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        with ProcessExecutor(workers=1) as loud:
            assert loud.submit(calls.warn).result() == 1


@pytest.mark.slow
def test_each_worker_sees_one_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    with ProcessExecutor(workers=2) as executor:
        seen = described_by_two(executor, tmp_path)
    assert {each["device"] for each in seen} == {"5", "7"}
    assert len({each["pid"] for each in seen}) == 2


@pytest.mark.parametrize(("count", "variable", "expected"), [(0, "", ()), (1, "", ()), (3, "", ("0", "1", "2"))])
def test_devices(monkeypatch: pytest.MonkeyPatch, count: int, variable: str, expected: tuple[str, ...]) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", variable)
    assert worker.visible_devices() == expected


def test_shutdown_kills_what_runs_and_removes_what_was_shared() -> None:
    executor = ProcessExecutor(workers=1)
    shared = executor.share(torch.zeros(100_000))
    pid = executor.submit(calls.pid_after, 0).result()
    executor.submit(calls.pid_after, 60)
    start = time.monotonic()
    executor.shutdown(cancel_futures=True)
    assert time.monotonic() - start < 5
    assert not alive(pid)
    assert not Path(shared.folder).parent.exists()
    executor.shutdown()


@pytest.mark.slow
def test_a_worker_collects_no_garbage_in_what_it_has_loaded_and_a_plain_shutdown_waits_for_its_calls() -> None:
    with ProcessExecutor(workers=1) as single:
        first, second = (single.submit(calls.collectable_objects).result() for _ in range(2))
        future = single.submit(calls.pid_after, 0.3)
    assert second < first / 10
    assert future.result() > 0


DRIVER = """
import sys, time
sys.path[:0] = {paths}
import executor_calls as calls, torch
from lightning_modules.training.executors import ProcessExecutor
executor = ProcessExecutor(workers=2)
shared = executor.share(torch.zeros(100_000))
pid = executor.submit(calls.pid_after, 0).result()
futures = [executor.submit(calls.pid_after, 60) for _ in range(2)]
try:
    print(pid, executor._folder.name, flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    time.sleep(0.5)
    print("workers alive" if not any(future.done() for future in futures) else "workers dead", flush=True)
    executor.shutdown(cancel_futures=True)
    print("bye", flush=True)
"""


def start(script: str) -> subprocess.Popen[str]:
    # Tests that a shell started in the background inherit from it that Ctrl-C is ignored.
    interruptible = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    return subprocess.Popen(
        [sys.executable, "-c", interruptible + script.format(paths=[str(ROOT), str(Path(__file__).parent)])],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd="/",
        start_new_session=True,
    )


@pytest.fixture
def driver() -> Iterator[subprocess.Popen[str]]:
    process = start(DRIVER)
    yield process
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


@pytest.mark.slow
def test_workers_end_when_the_driver_is_killed(driver: subprocess.Popen[str]) -> None:
    pid, folder = driver.stdout.readline().split()
    driver.kill()
    assert wait_until(lambda: not alive(int(pid)), seconds=5)
    assert wait_until(lambda: not Path(folder).exists(), seconds=5)


@pytest.mark.slow
def test_ctrl_c_reaches_the_driver_alone(driver: subprocess.Popen[str]) -> None:
    pid, folder = driver.stdout.readline().split()
    os.killpg(driver.pid, signal.SIGINT)
    output, errors = driver.communicate(timeout=20)
    assert output.split("\n")[:2] == ["workers alive", "bye"]
    assert errors == ""
    assert not alive(int(pid))
    assert not Path(folder).exists()


STARTING = """
import sys, time
sys.path[:0] = {paths}
import executor_calls as calls
from lightning_modules.training.executors import ProcessExecutor
executor = ProcessExecutor(workers=2)
try:
    future = executor.submit(calls.pid_after, 0)
    print(*executor._pool._processes, flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    print(future.result(), flush=True)
    executor.shutdown()
"""


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0.05, 0.6, 1.2])
def test_ctrl_c_while_workers_start_does_not_reach_them(delay: float) -> None:
    process = start(STARTING)
    pids = process.stdout.readline().split()
    time.sleep(delay)
    os.killpg(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=30)
    assert output.strip() in pids
    assert errors == ""
    assert process.returncode == 0
