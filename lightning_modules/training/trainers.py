"""Libraries that say less for a while."""

import copy
import gc
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.loggers import TensorBoardLogger

from lightning_modules.losses import Loss


@contextmanager
def errors_only(*names: str) -> Iterator[None]:
    """Let the loggers of these names tell of errors alone."""
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


# Such a training is one of many: nothing is shown or kept of one unless asked for.
_QUIET = {
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "num_sanity_val_steps": 0,
}


def quiet_trainer(
    recipe: Mapping[str, Any], callbacks: list[pl.Callback], *, without: tuple[type[pl.Callback], ...], **settings: Any
) -> pl.Trainer:
    """Return a new Trainer that shows and keeps nothing.

    Args:
        recipe: Arguments of the Trainer; callbacks and other objects in it are copied.
        callbacks: Further callbacks.
        without: Kinds of callbacks that are left out of the recipe.
        settings: Arguments that go before the recipe's.

    Raises:
        MisconfigurationException: If it cannot be built.
    """
    arguments = copy.deepcopy({**recipe, **_QUIET, **settings})
    own = arguments.pop("callbacks", None) or []
    own = own if isinstance(own, list) else [own]
    own = [callback for callback in own if not isinstance(callback, without)]
    try:
        return pl.Trainer(**arguments, callbacks=[*own, *callbacks])
    except Exception as error:  # whatever Lightning, or a library that it asks for, makes of an option
        raise trainer_error(error) from error


def trainer_error(error: Exception) -> MisconfigurationException:
    """Return what to raise for an error that a Trainer's options have caused."""
    reason = str(error).strip() or type(error).__name__
    return MisconfigurationException(f"the Trainer cannot be built with these options (--trainer...): {reason}")


def fit(trainer: pl.Trainer, model: pl.LightningModule, datamodule: pl.LightningDataModule) -> None:
    """Train a model.

    Raises:
        KeyboardInterrupt: If the user interrupted the training.
        MisfitError: If the model gives its loss something else than that wants.
    """
    loss = getattr(model, "loss", None)
    checked: AbstractContextManager[None] = nullcontext()
    if isinstance(loss, Loss):
        loss.check_model(model)
        checked = loss.first_call_checked()
    try:
        with checked:
            trainer.fit(model, datamodule=datamodule)
    except SystemExit as error:
        # Lightning turns Ctrl-C into a plain exit with status 1.
        if type(error) is SystemExit and trainer.interrupted:
            raise KeyboardInterrupt from None
        raise


class TrainerFactory:
    """Builds a new Trainer for every training from one recipe, the ``trainer`` section of the configuration.

    Args:
        recipe: Arguments of the Trainer; callbacks and other objects in it are copied for every Trainer. A recipe that
            leaves ``check_val_every_n_epoch`` at 1 validates once, after the last epoch.
        log_folder: Folder of the TensorBoard curves, one run a Trainer; ``None`` writes none.
    """

    def __init__(self, recipe: Mapping[str, Any], log_folder: Path | None = None) -> None:
        self.recipe = dict(recipe)
        self.log_folder = log_folder

    def build(
        self, callbacks: Sequence[pl.Callback], name: str, *, epochs: int | None = None, **settings: Any
    ) -> pl.Trainer:
        """Return a new Trainer that keeps no checkpoints and shows no progress.

        Args:
            callbacks: Callbacks that come after those of the recipe.
            name: Name of the training, after which the folder of its curves is called.
            epochs: Number of epochs instead of the recipe's.
            settings: Arguments that replace the recipe's.
        """
        if self.log_folder is not None:
            settings["logger"] = TensorBoardLogger(self.log_folder, name=None, version=_file_name(name))
        recipe = self.recipe if epochs is None else {**self.recipe, "max_epochs": epochs}
        if recipe.get("check_val_every_n_epoch", 1) == 1 and (recipe.get("max_epochs") or 0) > 1:
            recipe = {**recipe, "check_val_every_n_epoch": recipe["max_epochs"]}
        # A configuration for fit may keep checkpoints, which a Trainer without checkpointing refuses.
        return quiet_trainer(recipe, list(callbacks), without=(Checkpoint,), **settings)


def _file_name(formula: str) -> str:
    """Write a formula as a name that every file system accepts."""
    return "".join(letter if letter.isalnum() or letter in "()+-,. " else "_" for letter in formula)[:60].strip()


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Keep each Trainer from announcing itself."""
    with errors_only("pytorch_lightning.utilities.rank_zero", "pytorch_lightning"):
        yield


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
