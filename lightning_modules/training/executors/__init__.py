"""Executors: they train models in this process, in worker processes or on a Ray cluster."""

from lightning_modules.training.executors.base import SerialExecutor, Shared, TrainingExecutor
from lightning_modules.training.executors.factory import (
    EXECUTORS,
    ExecutorOptions,
    executor_named,
    opened_executor,
    refuse_several_devices,
)
from lightning_modules.training.executors.process_pool import ProcessExecutor
from lightning_modules.training.executors.ray_executor import RayExecutor
from lightning_modules.training.executors.worker import in_worker

__all__ = [
    "EXECUTORS",
    "ExecutorOptions",
    "ProcessExecutor",
    "RayExecutor",
    "SerialExecutor",
    "Shared",
    "TrainingExecutor",
    "executor_named",
    "in_worker",
    "opened_executor",
    "refuse_several_devices",
]
