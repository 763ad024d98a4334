"""An executor of worker processes on this machine."""

import multiprocessing.resource_tracker
import os
import shutil
import signal
import tempfile
import warnings
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Future
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Generic, TypeVar

import loky
import loky.backend.resource_tracker
from loky.process_executor import BrokenProcessPool, ProcessPoolExecutor

from lightning_modules.training.executors.base import Shared, TrainingExecutor
from lightning_modules.training.executors.shared_folder import SharedFolder
from lightning_modules.training.executors.shared_memory import pack, read_packed, unpack, write_packed
from lightning_modules.training.executors.worker import WorkerSetup, call, visible_devices

T = TypeVar("T")


@dataclass(frozen=True)
class _Stored(Shared[T], Generic[T]):
    folder: str

    def get(self) -> T:
        value: T = _load(self.folder)
        return value


# A small cache, so that shared values of earlier rounds are freed.
@lru_cache(maxsize=4)
def _load(folder: str) -> Any:
    return unpack(read_packed(Path(folder)))


class ProcessExecutor(TrainingExecutor):
    """A pool of worker processes, which read shared values from one memory.

    Workers are new interpreters. They end when the driver ends, however it does, and ignore Ctrl-C. Where there are
    several GPUs each worker sees one of them. When a worker dies, all calls that were running or waiting fail with
    one of ``deaths``, and the next ``submit`` starts new workers.

    Args:
        workers: Number of processes; 0 starts one for each CPU core that this process may use.
        threads: CPU threads of torch in each of them; 0 leaves torch's own number.

    Raises:
        ValueError: If a number is negative.
    """

    deaths = (BrokenProcessPool,)

    def __init__(self, workers: int = 0, threads: int = 1) -> None:
        if workers < 0 or threads < 0:
            raise ValueError(f"{workers} workers of {threads} threads: a number of them cannot be negative")
        self.slots = workers or loky.cpu_count()
        self._threads = threads
        self._folder = SharedFolder()
        self._pool = self._new_pool()

    def submit(self, function: Callable[..., T], /, *arguments: Any, **options: Any) -> "Future[T]":
        """Run the call in the next free worker.

        Raises:
            RuntimeError: If the executor was shut down.
        """
        try:
            return self._submit(call, function, arguments, options)
        except BrokenExecutor:
            self._pool = self._new_pool()
            return self._submit(call, function, arguments, options)

    def share(self, value: T) -> Shared[T]:
        """Write the value to a temporary folder, whose large arrays every worker maps into its memory.

        Raises:
            OSError: If it cannot be written.
        """
        folder = tempfile.mkdtemp(dir=self._folder.name)
        write_packed(pack(value), Path(folder))
        shared: _Stored[T] = _Stored(folder)
        weakref.finalize(shared, shutil.rmtree, folder, ignore_errors=True)
        return shared

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the workers and remove what was shared."""
        self._pool.shutdown(wait=wait, kill_workers=cancel_futures)
        # Without waiting, calls may still read from the folder, which is then removed with this object.
        if wait:
            self._folder.cleanup()

    def _submit(self, *arguments: Any) -> "Future[Any]":
        with _interrupts_held():
            future: Future[Any] = self._pool.submit(*arguments)
        return future

    def _new_pool(self) -> ProcessPoolExecutor:
        # Starting one of these unblocks SIGINT, so it must happen before SIGINT is blocked.
        multiprocessing.resource_tracker.ensure_running()
        loky.backend.resource_tracker.ensure_running()
        setup = WorkerSetup(os.getpid(), self._folder.name, self._threads, list(warnings.filters), visible_devices())
        return ProcessPoolExecutor(max_workers=self.slots, timeout=None, initializer=setup.prepare)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Block SIGINT, so that processes and threads that start here inherit the block and are not interrupted early.

    A signal that arrives meanwhile is delivered afterwards.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
