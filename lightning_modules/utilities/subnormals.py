"""Subnormal numbers, below 1.2e-38 in single precision, count as 0 in a training."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

_SUBNORMAL = 1e-39


@contextmanager
def flushed_subnormals() -> Iterator[None]:
    """Compute with 0 in place of subnormal numbers, on processors that can, in the thread that calls this.

    Weight decay shrinks the embeddings of absent rows to such numbers and leaves them there. An operation on one takes
    a processor a hundred times as long, which makes a training step several times as long.
    """
    before = flushes_subnormals()
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


def flushes_subnormals() -> bool:
    """Return whether this thread computes with 0 in place of subnormal numbers."""
    return float(torch.tensor(_SUBNORMAL) * 1) == 0
