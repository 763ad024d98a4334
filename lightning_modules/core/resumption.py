"""The state of a training that is resumed, beside weights and optimizers: random numbers and early stopping."""

from typing import Any, cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Timer
from pytorch_lightning.trainer.states import TrainerFn
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor

_STATE = "training_state"


def random_state(device: torch.device) -> dict[str, Tensor]:
    """Return the state of torch's generators on the CPU and on the device, as plain tensors for a checkpoint."""
    state = {"cpu": torch.get_rng_state()}
    if device.type != "cpu":
        state[device.type] = torch.get_device_module(device).get_rng_state(device)
    return state


def restore_random_state(state: dict[str, Tensor], device: torch.device) -> None:
    """Put torch's generators into the state that :func:`random_state` returned.

    A state of another kind of device than this one says nothing about it and is left out.
    """
    torch.set_rng_state(state["cpu"].cpu())
    if device.type != "cpu" and device.type in state:
        torch.get_device_module(device).set_rng_state(state[device.type].cpu(), device)


class ResumableTraining:
    """Puts into a module's checkpoints what a resumed training needs beside weights, optimizers and loops.

    A mixin, to be named before ``LightningModule``. It stores the state of torch's random numbers, whether the training
    had been stopped early, and whatever a subclass adds in :meth:`training_state`. A subclass that overrides a hook of
    this class calls the one it overrides.
    """

    _resumed: dict[str, Any] | None = None

    @property
    def _module(self) -> pl.LightningModule:
        return cast(pl.LightningModule, self)

    def training_state(self) -> dict[str, Any]:
        """Return what a resumed training needs of the module's own, as plain data and tensors."""
        return {}

    def load_training_state(self, state: dict[str, Any]) -> None:
        """Take over what :meth:`training_state` returned when the checkpoint was written."""

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store what a resumed training needs."""
        own = {"random": random_state(self._module.device), "stopped_early": _is_stopped_early(self._module._trainer)}
        checkpoint[_STATE] = {**self.training_state(), **own}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what a resumed training needs until it starts; other uses of a checkpoint do without."""
        trainer = self._module._trainer
        self._load_data_state(checkpoint)
        resumes = trainer is not None and trainer.state.fn == TrainerFn.FITTING
        self._resumed = checkpoint.get(_STATE) if resumes else None

    def _load_data_state(self, checkpoint: dict[str, Any]) -> None:
        # Lightning does so after it has loaded the weights, whose sizes would tell less of what is wrong.
        data = getattr(self._module._trainer, "datamodule", None)
        if data is not None and type(data).__qualname__ in checkpoint:
            data.load_state_dict(checkpoint[type(data).__qualname__])

    def on_train_start(self) -> None:
        """Go on where a checkpoint was written, if the training is a resumed one."""
        resumed, self._resumed = self._resumed, None
        if resumed is None:
            return
        self.load_training_state(resumed)
        if resumed["stopped_early"]:
            _stop_again(self._module.trainer)
        restore_random_state(resumed["random"], self._module.device)


def _is_stopped_early(trainer: pl.Trainer | None) -> bool:
    if trainer is None or not trainer.should_stop:
        return False
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]  # set outside the Trainer's class
    remaining = [each.time_remaining() for each in callbacks if isinstance(each, Timer)]
    # A training that ran out of time has not ended: more time lets it go on.
    return bool(trainer.early_stopping_callbacks) and all(each is None or each > 0 for each in remaining)


def _stop_again(trainer: pl.Trainer) -> None:
    """End a training that was over, which would otherwise have one epoch more."""
    names = ", ".join(type(each).__name__ for each in trainer.early_stopping_callbacks)
    if names:
        rank_zero_warn(f"{names} had ended the training of this checkpoint; to train on, take it out of the callbacks")
        trainer.should_stop = True
