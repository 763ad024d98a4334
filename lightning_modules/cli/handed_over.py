"""Objects that a program gives the command line beside its options, since no text names them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytorch_lightning as pl
from pytorch_lightning.loggers import Logger

from lightning_modules.search.events import SearchObserver


@dataclass
class HandedOver:
    """Objects in place of what a configuration describes, or beside it.

    Attributes:
        model: The model; ``None`` builds the one that the configuration names.
        datamodule: The data; ``None`` builds those that the configuration names.
        observers: Further observers of a search.
        loggers: Loggers of a search, beside its TensorBoard run.
    """

    model: pl.LightningModule | None = None
    datamodule: pl.LightningDataModule | None = None
    observers: Sequence[SearchObserver] = field(default_factory=tuple)
    loggers: Sequence[Logger] = field(default_factory=tuple)
