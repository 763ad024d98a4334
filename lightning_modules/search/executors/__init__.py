"""Where children are trained."""

from lightning_modules.search.executors.base import ChildExecutor, Shared
from lightning_modules.search.executors.naming import EXECUTORS, ExecutorOptions, executor_named
from lightning_modules.search.executors.processes import ProcessExecutor
from lightning_modules.search.executors.ray_cluster import RayExecutor
from lightning_modules.search.executors.serial import SerialExecutor
from lightning_modules.search.executors.worker import in_worker

__all__ = [
    "EXECUTORS",
    "ChildExecutor",
    "ExecutorOptions",
    "ProcessExecutor",
    "RayExecutor",
    "SerialExecutor",
    "Shared",
    "executor_named",
    "in_worker",
]
