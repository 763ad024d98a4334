"""Executors: they run the trials of a search in this process, in worker processes or on a Ray cluster."""

from lightning_modules.search.executors.base import SerialExecutor, Shared, TrialExecutor
from lightning_modules.search.executors.factory import EXECUTORS, ExecutorOptions, executor_named
from lightning_modules.search.executors.process_pool import ProcessExecutor
from lightning_modules.search.executors.ray_executor import RayExecutor
from lightning_modules.search.executors.worker import in_worker

__all__ = [
    "EXECUTORS",
    "ExecutorOptions",
    "ProcessExecutor",
    "RayExecutor",
    "SerialExecutor",
    "Shared",
    "TrialExecutor",
    "executor_named",
    "in_worker",
]
