"""Silences libraries for as long as one of many trainings takes."""

import gc
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from lightning_modules.training.random_numbers import forked_random_numbers


@contextmanager
def errors_only(*names: str) -> Iterator[None]:
    """Let the loggers of these names report errors alone."""
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Keep each Trainer from announcing itself."""
    with errors_only("pytorch_lightning.utilities.rank_zero", "pytorch_lightning"):
        yield


@contextmanager
def quiet_training() -> Iterator[None]:
    """Keep Lightning quiet in a training, and restore the random states after it."""
    # Trainers and models refer to each other, so that the last ones hold their memory until they are collected.
    gc.collect()
    with warnings.catch_warnings(), quiet_lightning(), forked_random_numbers():
        # Curves have a point an epoch, however few steps that is.
        warnings.filterwarnings("ignore", message=".*is smaller than the logging interval")
        yield
