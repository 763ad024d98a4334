"""Worker processes: how they are prepared, and how they end with the process that started them."""

import gc
import os
import shutil
import signal
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import current_process
from typing import Any, TypeVar, cast

import torch

from lightning_modules.utilities.freed_memory import keep_freed_memory

T = TypeVar("T")
_WORKER_VARIABLE = "LOSSMITH_WORKER"


def in_worker() -> bool:
    """Return whether this process is a worker, so that ending it ends no command."""
    return os.environ.get(_WORKER_VARIABLE) == str(os.getpid())


def become_worker(threads: int) -> None:
    """Mark this process as a worker and set torch's number of CPU threads; 0 keeps it."""
    keep_freed_memory()
    os.environ[_WORKER_VARIABLE] = str(os.getpid())
    if threads:
        torch.set_num_threads(threads)


def call(function: Callable[..., T], arguments: tuple[Any, ...], options: dict[str, Any]) -> T:
    """Run a call in one of loky's workers, which collect garbage every second between calls."""
    try:
        return function(*arguments, **options)
    finally:
        _spare_what_stays()


@lru_cache(maxsize=1)
def _spare_what_stays() -> None:
    """Freeze the collected objects: walking through all modules and data would take as long as a short trial.

    Once is enough, after the first call, which has imported and loaded nearly everything.
    """
    gc.collect()
    gc.freeze()


@dataclass(frozen=True)
class WorkerSetup:
    """Prepares a process that the driver started.

    Args:
        driver: Process id of the driver.
        folder: The driver's folder of shared values; removed when the driver has died without doing so.
        threads: CPU threads of torch; 0 leaves them as they are.
        filters: The driver's warning filters.
        devices: Names of GPUs, of which each worker sees one; empty where the workers may see all.
    """

    driver: int
    folder: str
    threads: int
    filters: Sequence[Any]
    devices: tuple[str, ...] = ()

    def prepare(self) -> None:
        """Prepare this process."""
        # Ctrl-C reaches the whole process group; only the driver reacts and ends its workers.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        warnings.resetwarnings()
        cast(list[Any], warnings.filters).extend(self.filters)
        self._choose_device()
        become_worker(self.threads)
        threading.Thread(target=self._end_with_driver, name="end with driver", daemon=True).start()

    def _choose_device(self) -> None:
        """Hide all GPUs but one, before CUDA is initialised."""
        if self.devices:
            number = int(current_process().name.rsplit("-")[-1].split(":")[-1])
            os.environ["CUDA_VISIBLE_DEVICES"] = self.devices[number % len(self.devices)]

    def _end_with_driver(self) -> None:
        while os.getppid() == self.driver:
            time.sleep(0.5)
        shutil.rmtree(self.folder, ignore_errors=True)
        os._exit(1)


def visible_devices() -> tuple[str, ...]:
    """Return the names of the GPUs that this process may use, for ``CUDA_VISIBLE_DEVICES``; none if there is one."""
    count = torch.cuda.device_count()
    if count < 2:
        return ()
    named = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return tuple(named[:count]) if named else tuple(map(str, range(count)))
