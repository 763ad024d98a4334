"""Builds an executor by its name from common options."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from lightning_modules.search.executors.base import SerialExecutor, TrialExecutor
from lightning_modules.search.executors.process_pool import ProcessExecutor
from lightning_modules.search.executors.ray_executor import RayExecutor


@dataclass(frozen=True)
class ExecutorOptions:
    """Options of an executor; each kind uses those that concern it.

    Args:
        workers: Number of trials that run at once; 0 is as many as the machine or cluster has room for.
        threads: CPU threads of torch in a trial; 0 leaves torch's own number.
        ray_address: Address of a Ray cluster, or ``auto`` for this machine's; empty starts a local one.
        gpus_per_child: GPUs that Ray reserves for each trial, also a fraction of one.
    """

    workers: int = 0
    threads: int = 1
    ray_address: str = ""
    gpus_per_child: float = 0.0


def _serial(options: ExecutorOptions) -> TrialExecutor:
    return SerialExecutor(options.threads)


def _process(options: ExecutorOptions) -> TrialExecutor:
    return ProcessExecutor(options.workers, options.threads)


def _ray(options: ExecutorOptions) -> TrialExecutor:
    return RayExecutor(
        options.workers, options.threads, address=options.ray_address, gpus_per_child=options.gpus_per_child
    )


#: Builders of executors by name.
EXECUTORS: Mapping[str, Callable[[ExecutorOptions], TrialExecutor]] = MappingProxyType(
    {"serial": _serial, "process": _process, "ray": _ray}
)


def executor_named(name: str, options: ExecutorOptions | None = None) -> TrialExecutor:
    """Return a new executor.

    Raises:
        ValueError: If there is none of that name, an option cannot be used, or Ray is asked for and not installed.
    """
    if name not in EXECUTORS:
        raise ValueError(f"there is no executor '{name}'; name one of {', '.join(EXECUTORS)}")
    return EXECUTORS[name](options or ExecutorOptions())
