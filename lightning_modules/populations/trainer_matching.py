"""Where populations and compiled kernels train as separate trainings do: the Trainer, the device, numba."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytorch_lightning as pl

from lightning_modules.populations.stacked_model import UnmatchedError
from lightning_modules.utilities.compiled import is_available

#: The values that these attributes of a Trainer must have.
SINGLE_PROCESS: Mapping[str, Any] = {"accumulate_grad_batches": 1, "precision": "32-true", "world_size": 1}

#: Those that they must have for many steps at a time. Trainers that say how many steps they take get one at a time.
WHOLE_EPOCHS: Mapping[str, Any] = {
    **SINGLE_PROCESS,
    "max_steps": -1,
    "min_steps": None,
    "limit_train_batches": 1.0,
    "val_check_interval": 1.0,
    "overfit_batches": 0.0,
    "logger": None,
}

#: What it must have as well where a copy may end as early as it likes.
ENDS_ANY_TIME: Mapping[str, Any] = {"min_epochs": None}

#: Arguments of a Trainer whose module clips the gradients of each copy; Lightning would clip those of all together.
OWN_CLIPPING: Mapping[str, Any] = {"gradient_clip_val": None, "gradient_clip_algorithm": None}


def difference(trainer: pl.Trainer, matched: Mapping[str, Any], own: Sequence[pl.Callback] = ()) -> str:
    """Return in words how a Trainer differs from those that can be matched; empty if it does not.

    Args:
        trainer: The Trainer.
        matched: The values that its attributes must have.
        own: The callbacks that it may have.
    """
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]  # set outside the Trainer's class
    found = {name: getattr(trainer, name) for name in matched}
    found["callbacks"] = [type(each).__name__ for each in callbacks if each not in own]
    for name, wanted in {**matched, "callbacks": []}.items():
        if found[name] != wanted:
            return f"a Trainer with {name}={found[name]}, only one with {wanted}"
    return ""


def require_numba() -> None:
    """Refuse compiled training where kernels cannot be compiled.

    Raises:
        UnmatchedError: If numba is not installed.
    """
    if not is_available():
        raise UnmatchedError("numba is not installed; pip install numba")


def refuse_other_device(trainer: pl.Trainer) -> None:
    """Refuse a Trainer of a device that compiled kernels are not for.

    Raises:
        UnmatchedError: If it does not train on the CPU.
    """
    device = trainer.strategy.root_device
    if device.type != "cpu":
        raise UnmatchedError(f"the kernels are for the CPU, and the trainer uses {device}")
