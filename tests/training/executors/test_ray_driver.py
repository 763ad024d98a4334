import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lightning_modules.training.executors import RayExecutor
from tests.training.executors import executor_calls as calls

pytestmark = pytest.mark.timeout(180)
ROOT = Path(__file__).resolve().parents[3]


def wait_until(condition: Callable[[], bool], seconds: float = 15) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


def test_an_address_where_nothing_is_is_refused() -> None:
    pytest.importorskip("ray")
    with pytest.raises(ValueError, match="no Ray cluster answers at 'auto'"):
        RayExecutor(address="auto")


def test_sigterm_stays_with_the_driver() -> None:
    pytest.importorskip("ray")
    handler = signal.getsignal(signal.SIGTERM)
    seen: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
    try:
        with RayExecutor(workers=1) as executor:
            os.kill(os.getpid(), signal.SIGTERM)
            assert executor.submit(calls.pid_after, 0).result() > 0
    finally:
        signal.signal(signal.SIGTERM, handler)
    assert seen == [signal.SIGTERM]


DRIVER = """
import sys, time
sys.path[:0] = {paths}
from lightning_modules.training.executors import RayExecutor
from lightning_modules.losses import BCE
import executor_calls as calls, datamodules, callbacks
executor = RayExecutor(workers=2)
shared = executor.share((BCE(), datamodules))
pid = executor.submit(calls.pid_after, 0).result()
print(executor.submit(lambda handle: type(handle.get()[0]).__module__, shared).result(), flush=True)
futures = [executor.submit(calls.pid_after, 60) for _ in range(2)]
time.sleep(0.5)
try:
    print(pid, flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    time.sleep(1)
    print("workers alive" if not any(future.done() for future in futures) else "workers dead", flush=True)
    executor.shutdown(cancel_futures=True)
    print("bye", flush=True)
"""


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    pytest.importorskip("ray")
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER.format(paths=[str(ROOT), str(Path(__file__).parent)])],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        start_new_session=True,
    )
    yield process
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def gone(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status")
    return not status.exists() or "State:\tZ" in status.read_text()


def test_the_project_is_found_from_any_folder_and_ctrl_c_reaches_the_driver_alone(
    driver: subprocess.Popen[str],
) -> None:
    assert driver.stdout.readline().startswith("lightning_modules.losses")
    pid = driver.stdout.readline().strip()
    os.killpg(driver.pid, signal.SIGINT)
    output, errors = driver.communicate(timeout=40)
    assert output.split("\n")[:2] == ["workers alive", "bye"]
    assert "Traceback" not in errors
    assert gone(int(pid))


def test_a_local_cluster_ends_when_the_driver_is_killed(driver: subprocess.Popen[str]) -> None:
    driver.stdout.readline()
    pid = driver.stdout.readline().strip()
    driver.kill()
    assert wait_until(lambda: gone(int(pid)), seconds=30)
