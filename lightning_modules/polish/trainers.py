"""What the trainings of a polish have in common: they say nothing, and leave curves in TensorBoard."""

import gc
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from pytorch_lightning.loggers import TensorBoardLogger

from lightning_modules.recipes import quiet_lightning


@contextmanager
def quiet_training() -> Iterator[None]:
    """Keep Lightning from announcing itself, and torch's random numbers from depending on what is trained."""
    # Trainers and models refer to each other, so that the last ones hold their memory until they are collected.
    gc.collect()
    with warnings.catch_warnings(), quiet_lightning(), torch.random.fork_rng():
        # Curves have a point an epoch, however few steps that is.
        warnings.filterwarnings("ignore", message=".*is smaller than the logging interval")
        yield


def curves(checkpoint: Path) -> TensorBoardLogger:
    """Return the logger of a training, without the curves of one that was ended before it left its checkpoint.

    Args:
        checkpoint: Where the training's checkpoint will lie; the curves are in a folder of its name without the ending.
    """
    for events in checkpoint.with_suffix("").glob("events.out.tfevents.*"):
        events.unlink()
    return TensorBoardLogger(checkpoint.parent, name=checkpoint.stem, version="", default_hp_metric=False)
