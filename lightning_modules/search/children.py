"""Builds the Trainers that children are trained under."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.loggers import TensorBoardLogger

from callbacks.reward import RewardCallback
from lightning_modules.recipes import quiet_trainer


class ChildTrainers:
    """Makes a new Trainer for every child from one recipe, the ``trainer`` section of the configuration.

    Args:
        recipe: Arguments of the Trainer; callbacks and other objects in it are copied for every child. A recipe that
            leaves ``check_val_every_n_epoch`` at 1 validates once, after the last epoch.
        log_folder: Where each child's curves go; ``None`` writes none.
    """

    def __init__(self, recipe: Mapping[str, Any], log_folder: Path | None = None) -> None:
        self.recipe = dict(recipe)
        if self.recipe.get("check_val_every_n_epoch", 1) == 1 and (self.recipe.get("max_epochs") or 0) > 1:
            self.recipe["check_val_every_n_epoch"] = self.recipe["max_epochs"]
        self.log_folder = log_folder
        self._built = 0

    def __call__(self, reward: RewardCallback, name: str) -> pl.Trainer:
        """Return a new Trainer that ends with ``reward`` and trains the loss called ``name``."""
        logger: dict[str, Any] = {}
        if self.log_folder is not None:
            self._built += 1
            version = f"{self._built:05d} {_file_name(name)}"
            logger = {"logger": TensorBoardLogger(self.log_folder, name=None, version=version)}
        # A configuration for fit may keep checkpoints, which a Trainer without checkpointing refuses.
        return quiet_trainer(self.recipe, [reward], without=(Checkpoint,), **logger)


def _file_name(formula: str) -> str:
    """Write a formula so that every file system takes it as a name."""
    return "".join(letter if letter.isalnum() or letter in "()+-,. " else "_" for letter in formula)[:60].strip()
