"""Processes of one distributed training: the first one, sums, means and broadcasts over all, threads and memory."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor, distributed

Value = TypeVar("Value")


def is_first() -> bool:
    """Return whether this is the process of rank 0, which alone writes; known before the processes are connected."""
    # Where Lightning is not imported, nothing has started further processes.
    lightning = sys.modules.get("lightning_utilities.core.rank_zero")
    return getattr(getattr(lightning, "rank_zero_only", None), "rank", 0) == 0


def mean_over_processes(values: Tensor) -> Tensor:
    """Return the mean over all processes, which must all call this; the values themselves where there is one.

    Args:
        values: Detached values, of the same shape everywhere.
    """
    return sum_over_processes(values) / distributed.get_world_size() if _are_connected() else values


def sum_over_processes(values: Tensor) -> Tensor:
    """Return the sum over all processes, which must all call this; see :func:`mean_over_processes`."""
    if not _are_connected():
        return values
    total = values.clone()
    distributed.all_reduce(total)
    return total


def broadcast_from_first(value: Value) -> Value:
    """Return the value of rank 0 on every process, so that all take the same decisions.

    Before the first Trainer has started the processes, and in a search of one process, the value itself is returned.
    """
    if not _are_connected():
        return value
    box = [value]
    distributed.broadcast_object_list(box, src=0)
    return box[0]


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Compute with so many threads; 0 leaves the number as it is."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def quick_collections() -> Iterator[None]:
    """Leave the objects that live already out of garbage collections.

    To walk through all modules and data before every one of many trainings would take as long as a short training.
    """
    if gc.get_freeze_count():
        # Frozen by the caller, who would find them thawed.
        yield
        return
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _are_connected() -> bool:
    return distributed.is_available() and distributed.is_initialized()
