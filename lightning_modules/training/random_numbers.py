"""The random numbers that a training draws: torch's, and those of numpy and Python, which own modules may use."""
# ruff: noqa: NPY002  (what others draw by numpy's global state depends on that)

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def forked_random_numbers() -> Iterator[None]:
    """Restore the random states of torch, numpy and Python afterwards."""
    python_state, numpy_state = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng():
            yield
    finally:
        np.random.set_state(numpy_state)
        random.setstate(python_state)


def seed_random_numbers(seed: int) -> None:
    """Seed the random numbers of torch, numpy and Python."""
    torch.manual_seed(seed)
    # numpy takes seeds of 32 bits alone.
    np.random.seed(seed % 2**32)
    random.seed(seed)
