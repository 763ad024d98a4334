"""Builds and runs the Trainers of many trainings with one recipe."""

import copy
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.callbacks import Callback, Checkpoint, EarlyStopping
from pytorch_lightning.loggers import TensorBoardLogger
from torch.optim.lr_scheduler import ReduceLROnPlateau

from lightning_modules.losses import LossObject
from lightning_modules.training.quick_steps import with_quick_steps
from lightning_modules.training.quiet import quiet_lightning
from lightning_modules.training.step_hooks import has_own
from lightning_modules.utilities.subnormals import flushed_subnormals

# Each training is one of many: it shows and keeps nothing unless asked to.
_QUIET: Mapping[str, Any] = {
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "num_sanity_val_steps": 0,
}

# A callback that has any of these may use the metrics of a validation, or end the training before the last epoch.
_AWAITING_HOOKS = (
    *("on_train_batch_end", "on_train_epoch_end"),
    *(hook for hook in dir(Callback) if hook.startswith("on_validation")),
)


def quiet_trainer(
    recipe: Mapping[str, Any], callbacks: list[Callback], *, without: tuple[type[Callback], ...], **settings: Any
) -> pl.Trainer:
    """Return a new Trainer that shows and keeps nothing.

    Args:
        recipe: Arguments of the Trainer; callbacks and other objects in it are copied.
        callbacks: Further callbacks.
        without: Classes of callbacks that are left out of the recipe.
        settings: Arguments that go before the recipe's.

    Raises:
        MisconfigurationException: If it cannot be built.
    """
    arguments = copy.deepcopy({**recipe, **_QUIET, **settings})
    own = [callback for callback in _callbacks_of(arguments) if not isinstance(callback, without)]
    arguments.pop("callbacks", None)
    try:
        return with_quick_steps(pl.Trainer(**arguments, callbacks=[*own, *callbacks]))
    except Exception as error:  # Lightning and the libraries it calls raise many kinds for a wrong option
        raise trainer_error(error) from error


def scoring_trainer(recipe: Mapping[str, Any], callbacks: Sequence[Callback] = (), **arguments: Any) -> pl.Trainer:
    """Return a quiet Trainer that scores every row, however much of an epoch the recipe takes to train and to validate.

    Args:
        recipe: Arguments of the Trainer; early stopping and checkpoints of its own are left out.
        callbacks: Further callbacks.
        arguments: Arguments that go before the recipe's.

    Raises:
        MisconfigurationException: If it cannot be built.
    """
    arguments = {"limit_predict_batches": 1.0, **arguments}
    return quiet_trainer(recipe, [*callbacks], without=(Checkpoint, EarlyStopping), **arguments)


def attached_trainer(model: pl.LightningModule) -> pl.Trainer:
    """Return a quiet Trainer of this process that can save a model that was trained in another one."""
    with quiet_lightning():
        trainer = pl.Trainer(accelerator="cpu", devices=1, **_QUIET)
    trainer.strategy.connect(model)
    return trainer


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
    if isinstance(loss, LossObject):
        loss.check_model(model)
        checked = loss.first_call_checked()
    try:
        with checked, flushed_subnormals():
            trainer.fit(model, datamodule=datamodule)
    except SystemExit as error:
        # Lightning turns Ctrl-C into a plain exit with status 1.
        if type(error) is SystemExit and trainer.interrupted:
            raise KeyboardInterrupt from None
        raise


class TrainerFactory:
    """Builds a new Trainer for every training from one recipe, the ``trainer`` section of the configuration.

    Args:
        recipe: Arguments of the Trainer; callbacks and other objects in it are copied for every Trainer.
        log_folder: Folder of the TensorBoard curves, one run a Trainer; ``None`` writes none.
    """

    def __init__(self, recipe: Mapping[str, Any], log_folder: Path | None = None) -> None:
        self.recipe = dict(recipe)
        self.log_folder = log_folder

    def build(
        self,
        callbacks: Sequence[Callback],
        name: str,
        *,
        epochs: int | None = None,
        validates_once: bool = True,
        **settings: Any,
    ) -> pl.Trainer:
        """Return a new Trainer that keeps no checkpoints and shows no progress.

        Args:
            callbacks: Callbacks that come after those of the recipe.
            name: Name of the training, after which the folder of its curves is called.
            epochs: Number of epochs instead of the recipe's.
            validates_once: Whether a recipe that leaves ``check_val_every_n_epoch`` at 1 validates after the last epoch
                alone. One that may end earlier, or has callbacks that may use its validations, stays as it is.
            settings: Arguments that replace the recipe's.
        """
        if self.log_folder is not None:
            settings["logger"] = TensorBoardLogger(self.log_folder, name=None, version=_file_name(name))
        recipe = self.recipe if epochs is None else {**self.recipe, "max_epochs": epochs}
        if validates_once and _may_validate_once(recipe):
            recipe = {**recipe, "check_val_every_n_epoch": recipe["max_epochs"]}
        # A configuration for fit may keep checkpoints, which a Trainer without checkpointing refuses.
        return quiet_trainer(recipe, list(callbacks), without=(Checkpoint,), **settings)


class AwaitedValidations(Callback):
    """Validates as the recipe says where the module awaits it: its learning rate or its early stopping is by a metric.

    Only the Trainer learns of these, when it has asked the module for its optimizers and callbacks.

    Args:
        recipe: Arguments of the Trainer, before a factory has put its validation after the last epoch.
    """

    def __init__(self, recipe: Mapping[str, Any]) -> None:
        self.every: int | None = recipe.get("check_val_every_n_epoch", 1)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Restore the recipe's validation if it is awaited."""
        callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]  # set outside the Trainer's class
        schedulers = trainer.lr_scheduler_configs
        # In manual optimization Lightning does not say which schedulers are by a metric.
        scheduled = any(each.reduce_on_plateau or isinstance(each.scheduler, ReduceLROnPlateau) for each in schedulers)
        if scheduled or any(isinstance(each, EarlyStopping) for each in callbacks):
            trainer.check_val_every_n_epoch = self.every


def _may_validate_once(recipe: Mapping[str, Any]) -> bool:
    """Return whether nothing in a recipe needs a validation before that of the last epoch."""
    ends_early = recipe.get("max_steps", -1) not in (-1, None) or recipe.get("max_time") is not None
    every_epoch = recipe.get("check_val_every_n_epoch", 1) == 1 and (recipe.get("max_epochs") or 0) > 1
    return every_epoch and not ends_early and not any(_awaits_validation(each) for each in _callbacks_of(recipe))


def _awaits_validation(callback: Callback) -> bool:
    if isinstance(callback, Checkpoint):
        # Without a monitor it only counts epochs or steps.
        return getattr(callback, "monitor", None) is not None
    return has_own(callback, Callback, _AWAITING_HOOKS)


def _callbacks_of(recipe: Mapping[str, Any]) -> list[Callback]:
    callbacks = recipe.get("callbacks") or []
    return callbacks if isinstance(callbacks, list) else [callbacks]


def _file_name(formula: str) -> str:
    """Write a formula as a name that every file system accepts."""
    return "".join(letter if letter.isalnum() or letter in "()+-,. " else "_" for letter in formula)[:60].strip()
