"""Leaves nothing of what a benchmark sets for its process."""

import logging
import warnings
from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    logger, threads = logging.getLogger("pytorch_lightning"), torch.get_num_threads()
    level = logger.level
    with warnings.catch_warnings():
        yield
    logger.setLevel(level)
    torch.set_num_threads(threads)
