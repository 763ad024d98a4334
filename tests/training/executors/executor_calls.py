"""Calls that executors run in tests, importable by workers."""

import gc
import os
import signal
import time
import warnings
from pathlib import Path
from typing import Any

import torch

from lightning_modules.training.executors import Shared, in_worker
from lightning_modules.utilities import signals


def draw(seed: int) -> torch.Tensor:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return torch.randn(100) @ torch.randn(100, 10)


def total(shared: Shared[torch.Tensor]) -> float:
    return shared.get().double().sum().item()


def identities(shared: Shared[Any]) -> tuple[int, int]:
    return id(shared.get()), id(shared.get())


def mapping_of(shared: Shared[torch.Tensor]) -> tuple[int, str, int]:
    """Read the whole tensor; return this worker, the line of its memory map and the bytes of it that are its own."""
    address = shared.get().data_ptr()
    shared.get().sum()
    time.sleep(0.3)
    with open("/proc/self/smaps") as smaps:
        lines = smaps.readlines()
    for start, line in enumerate(lines):
        low, _, high = line.split(" ")[0].partition("-")
        if high and int(low, 16) <= address < int(high, 16):
            private = next(entry for entry in lines[start:] if entry.startswith("Private_Dirty"))
            return os.getpid(), line.split()[-1], int(private.split()[1]) * 1024
    raise LookupError("the tensor is nowhere in the memory map")


def add_in_place(shared: Shared[torch.Tensor]) -> float:
    shared.get().add_(1)
    return shared.get().sum().item()


def kill_self() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_self_at_first(marker: str) -> str:
    if not os.path.exists(marker):
        open(marker, "w").close()
        kill_self()
    return "done"


def count_and_kill_self(marker: str) -> None:
    with open(marker, "a") as file:
        file.write("x")
    kill_self()


def fail(message: str) -> None:
    raise LookupError(message)


def interrupt() -> None:
    raise KeyboardInterrupt


def collectable_objects() -> int:
    return len(gc.get_objects())


def describe() -> dict[str, Any]:
    return {
        "pid": os.getpid(),
        "worker": in_worker(),
        "threads": torch.get_num_threads(),
        "device": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "sigint": signal.getsignal(signal.SIGINT),
        "sigterm": signal.getsignal(signal.SIGTERM),
    }


def describe_when_met(folder: str, workers: int) -> dict[str, Any]:
    """Describe this worker when so many have begun such a call, however long they took to start."""
    Path(folder, str(os.getpid())).touch()
    end = time.monotonic() + 60
    while len(os.listdir(folder)) < workers and time.monotonic() < end:
        time.sleep(0.05)
    return describe()


def pid_after(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def sleep_limited(seconds: float, limit: float) -> str:
    try:
        with signals.time_limit(limit, hard=in_worker()):
            time.sleep(seconds)
    except TimeoutError as error:
        return str(error)
    return "slept"


def hang_limited(seconds: float, limit: float) -> None:
    """Sleep without reacting to signals."""
    signals.GRACE_SECONDS = 0.2
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
    with signals.time_limit(limit, hard=in_worker()):
        time.sleep(seconds)


def warn() -> int:
    with warnings.catch_warnings(record=True) as caught:
        warnings.warn("a thing to know", UserWarning, stacklevel=2)
    return len(caught)
