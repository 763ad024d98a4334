"""Opens an executor by its name with common options."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

from lightning_modules.training.executors.base import SerialExecutor, TrainingExecutor
from lightning_modules.training.executors.process_pool import ProcessExecutor
from lightning_modules.training.executors.ray_executor import RayExecutor


@dataclass(frozen=True)
class ExecutorOptions:
    """Options of an executor; each kind uses those that concern it.

    Args:
        workers: Number of trainings that run at once; 0 is as many as the machine or cluster has room for.
        threads: CPU threads of torch in a training; 0 leaves torch's own number.
        ray_address: Address of a Ray cluster, or ``auto`` for this machine's; empty starts a local one.
        gpus_per_child: GPUs that Ray reserves for each training, also a fraction of one.
    """

    workers: int = 0
    threads: int = 1
    ray_address: str = ""
    gpus_per_child: float = 0.0


class ExecutorSettings(Protocol):
    """The options of a verb that trains on an executor."""

    @property
    def executor(self) -> str:
        """The executor's name."""

    @property
    def workers(self) -> int:
        """As in :class:`ExecutorOptions`, and so are the others."""

    @property
    def threads(self) -> int: ...  # noqa: D102

    @property
    def ray_address(self) -> str | None: ...  # noqa: D102

    @property
    def gpus_per_child(self) -> float: ...  # noqa: D102


def _serial(options: ExecutorOptions) -> TrainingExecutor:
    return SerialExecutor(options.threads)


def _process(options: ExecutorOptions) -> TrainingExecutor:
    return ProcessExecutor(options.workers, options.threads)


def _ray(options: ExecutorOptions) -> TrainingExecutor:
    return RayExecutor(
        options.workers, options.threads, address=options.ray_address, gpus_per_child=options.gpus_per_child
    )


#: Builders of executors by name.
EXECUTORS: Mapping[str, Callable[[ExecutorOptions], TrainingExecutor]] = MappingProxyType(
    {"serial": _serial, "process": _process, "ray": _ray}
)


def executor_named(name: str, options: ExecutorOptions | None = None) -> TrainingExecutor:
    """Return a new executor.

    Raises:
        ValueError: If there is none of that name, an option cannot be used, or Ray is asked for and not installed.
    """
    if name not in EXECUTORS:
        raise ValueError(f"there is no executor '{name}'; name one of {', '.join(EXECUTORS)}")
    return EXECUTORS[name](options or ExecutorOptions())


@contextmanager
def opened_executor(settings: ExecutorSettings) -> Iterator[TrainingExecutor]:
    """Return a new executor for a ``with`` block, whose end ends its workers at once; raises what its kind raises."""
    options = ExecutorOptions(settings.workers, settings.threads, settings.ray_address or "", settings.gpus_per_child)
    executor = executor_named(settings.executor, options)
    try:
        yield executor
    finally:
        executor.shutdown(cancel_futures=True)


def refuse_several_devices(name: str, recipe: Mapping[str, Any], option: str) -> None:
    """Refuse a Trainer of several devices on an executor whose workers have one each.

    Args:
        name: The executor.
        recipe: Arguments of every Trainer.
        option: The option that names the executor.

    Raises:
        ValueError: If it is such a Trainer.
    """
    if name != "serial" and (recipe.get("devices") or "auto") not in ("auto", 1, "1", -1):
        raise ValueError(
            f"{option} {name} trains a model on one device, and --trainer.devices is {recipe['devices']}; models on "
            f"several devices are for {option} serial"
        )
