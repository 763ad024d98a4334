"""Processes of one training: which is the first, what all agree on, and how many threads each may use."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
import torch.distributed as dist
from pytorch_lightning.utilities import rank_zero_only
from torch import Tensor, distributed


def is_first() -> bool:
    """Return whether this is the first process, which alone writes; known before the processes are connected."""
    return getattr(rank_zero_only, "rank", 0) == 0


def mean_over_processes(values: Tensor) -> Tensor:
    """Return the mean over all processes, which must all call this; the values themselves where there is one.

    Args:
        values: Detached values, of the same shape everywhere.
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        return values
    total = values.clone()
    distributed.all_reduce(total)
    return total / distributed.get_world_size()


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Compute with so many threads; 0 leaves the number as it is."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


T = TypeVar("T")


def agree(value: T) -> T:
    """Return the first process's value on every process, so that all take the same decisions.

    Before the first Trainer has started the processes, and in a search of one process, the value itself is returned.
    """
    if not (dist.is_available() and dist.is_initialized()):
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]
