"""Keeps the processes of a distributed search in step."""

from typing import TypeVar

import torch.distributed as dist

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
