"""Builds the Trainers that children are trained under."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.loggers import TensorBoardLogger

from lightning_modules.training.trainers import quiet_trainer


class ChildTrainers:
    """Makes a new Trainer for every child from one recipe, the ``trainer`` section of the configuration.

    Args:
        recipe: Arguments of the Trainer; callbacks and other objects in it are copied for every child. A recipe that
            leaves ``check_val_every_n_epoch`` at 1 validates once, after the last epoch.
        log_folder: Where each child's curves go; ``None`` writes none.
    """

    def __init__(self, recipe: Mapping[str, Any], log_folder: Path | None = None) -> None:
        self.recipe = dict(recipe)
        self.log_folder = log_folder

    def __call__(
        self, callbacks: Sequence[pl.Callback], name: str, *, epochs: int | None = None, **settings: Any
    ) -> pl.Trainer:
        """Return a new Trainer whose last callbacks are ``callbacks`` and which trains what is called ``name``.

        Args:
            callbacks: Further callbacks.
            name: Names the folder of the curves.
            epochs: Goes before the recipe's number of epochs.
            settings: Arguments that go before the recipe's.
        """
        if self.log_folder is not None:
            settings["logger"] = TensorBoardLogger(self.log_folder, name=None, version=_file_name(name))
        # A configuration for fit may keep checkpoints, which a Trainer without checkpointing refuses.
        return quiet_trainer(self._lasting(epochs), list(callbacks), without=(Checkpoint,), **settings)

    def _lasting(self, epochs: int | None) -> dict[str, Any]:
        recipe = self.recipe if epochs is None else {**self.recipe, "max_epochs": epochs}
        if recipe.get("check_val_every_n_epoch", 1) == 1 and (recipe.get("max_epochs") or 0) > 1:
            return {**recipe, "check_val_every_n_epoch": recipe["max_epochs"]}
        return recipe


def _file_name(formula: str) -> str:
    """Write a formula so that every file system takes it as a name."""
    return "".join(letter if letter.isalnum() or letter in "()+-,. " else "_" for letter in formula)[:60].strip()
