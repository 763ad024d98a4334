"""What every fit has beside the callbacks that are asked for."""

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint, ModelCheckpoint

from callbacks import FitSummary, LastCheckpoint


def callbacks_of_fit(model: pl.LightningModule, trainer: Mapping[str, Any]) -> list[pl.Callback]:
    """Return a summary and, where no callback keeps checkpoints, those that keep the best and the last epoch.

    Args:
        model: The model, whose ``validation_metric``, if it has one, says which epoch is the best.
        trainer: The arguments of the Trainer.
    """
    given = trainer.get("callbacks") or []
    keeps = any(isinstance(each, Checkpoint) for each in (given if isinstance(given, list) else [given]))
    if keeps or trainer.get("enable_checkpointing") is False or trainer.get("barebones"):
        return [FitSummary()]
    metric = getattr(model, "validation_metric", None)
    if not metric:
        return [LastCheckpoint(), FitSummary()]
    # The folder "checkpoints" then holds the one file that is to be used.
    best = ModelCheckpoint(monitor=metric, mode="max", filename="best")
    return [best, LastCheckpoint(folder="resume"), FitSummary()]
