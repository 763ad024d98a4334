"""New models with the arguments of a given one."""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import pytorch_lightning as pl
from pytorch_lightning.cli import instantiate_module

Model = TypeVar("Model", bound=pl.LightningModule)


def builder(model: Model) -> Callable[[], Model]:
    """Return what makes freshly initialised models like ``model``, from the hyper-parameters that it has saved.

    Raises:
        ValueError: If the model has saved none, so that nothing is known of how to make another.
    """
    # Lightning notes there how the hyper-parameters are to be read; that is known here.
    arguments = {name: value for name, value in model.hparams.items() if name != "_instantiator"}
    if not arguments:
        raise ValueError(
            f"{type(model).__name__} cannot be built anew for every training: call save_hyperparameters() in its "
            "__init__, as the models of this project do"
        )
    return partial(instantiate_module, type(model), arguments)
