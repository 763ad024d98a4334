"""Connects this program to a Ray cluster, or starts one on this machine."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

#: The project's packages, which the workers import; an adapted module and its loss are of the last.
PACKAGES = ("lightning_modules", "datamodules", "callbacks", "lossmith")


def import_ray() -> Any:
    """Return the module ``ray``.

    Raises:
        ValueError: If it is not installed.
    """
    try:
        import ray
    except ImportError as error:
        raise ValueError("the executor 'ray' needs Ray, which is not installed: pip install -e '.[ray]'") from error
    return ray


def connect(address: str, workers: int) -> Callable[[], None]:
    """Connect to a cluster, or start one with ``workers`` CPUs if there is no address, and return its shutdown.

    Raises:
        ValueError: If no cluster answers.
    """
    with _sigterm_kept():
        ray = import_ray()
        if ray.is_initialized():
            return lambda: None
        target = {"address": address} if address else {"address": "local", "num_cpus": workers or None}
        try:
            ray.init(
                **target,
                include_dashboard=None if address else False,
                runtime_env=_environment(),
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        except ConnectionError as error:
            raise ValueError(
                f"no Ray cluster answers at '{address}': {error}. Start one with 'ray start --head', or leave the "
                "address empty for one on this machine alone"
            ) from error
    shutdown: Callable[[], None] = ray.shutdown
    return shutdown


def room(gpus_per_child: float) -> int:
    """Return the number of calls of one CPU and ``gpus_per_child`` GPUs that fit into the nodes.

    Raises:
        ValueError: If none fits.
    """
    nodes = [node["Resources"] for node in import_ray().nodes() if node["Alive"]]
    slots = sum(_slots(node, gpus_per_child) for node in nodes)
    if not slots:
        raise ValueError(
            f"no node of the Ray cluster has a CPU and {gpus_per_child:g} GPUs for a child; "
            f"{len(nodes)} nodes have {sum(node.get('GPU', 0) for node in nodes):g} GPUs together"
        )
    return slots


def _slots(resources: dict[str, float], gpus_per_child: float) -> int:
    cpus = int(resources.get("CPU", 0))
    # Fractions such as a third are not exact in binary.
    return min(cpus, int(resources.get("GPU", 0) / gpus_per_child + 1e-6)) if gpus_per_child else cpus


def _environment() -> dict[str, Any]:
    """Return a runtime environment with the project's packages, and this process's import path for equal machines."""
    root = Path(__file__).resolve().parents[3]
    folders = [os.path.abspath(folder) for folder in sys.path if os.path.isdir(folder or os.curdir)]
    return {
        "py_modules": [str(root / package) for package in PACKAGES],
        "env_vars": {"PYTHONPATH": os.pathsep.join(folders)},
    }


@contextmanager
def _sigterm_kept() -> Iterator[None]:
    """Restore the handler of SIGTERM, which Ray replaces when it is initialised."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)
