"""Matches torch's optimizers and a Trainer's clipping with those of the compiled kernels, or refuses them."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol

import numpy as np
from torch import nn
from torch.optim import SGD, Adagrad, Adam, AdamW, Optimizer

from lightning_modules.populations.clipping import clipping_limit
from lightning_modules.populations.fused.kernel_arguments import ClippingLimits, Floats, Network
from lightning_modules.populations.fused.optimizers import (
    AdagradTable,
    DenseAdamTable,
    FusedTable,
    LazyAdamTable,
    SGDTable,
    TableFactory,
)
from lightning_modules.populations.optimizer_matching import matched_settings, refuse_other_parameters, untrained
from lightning_modules.populations.stacked_model import UnmatchedError

_NO_KERNEL = "no compiled kernel can do"

# Above this second beta, the tables of Adam's idle moves take more memory than most models.
_LARGEST_BETA = 0.99999
# The square of a smaller eps is 0 in single precision.
_LEAST_EPS = 1e-15


def _adam(weights: Floats, network: Network | None = None, *, settings: Mapping[str, Any]) -> FusedTable:
    coupled = settings["weight_decay"] and not settings["decoupled_weight_decay"]
    return (DenseAdamTable if coupled else LazyAdamTable)(weights, network, settings=settings)


_TABLES: Mapping[type[Optimizer], tuple[Callable[..., FusedTable], frozenset[str]]] = {
    SGD: (SGDTable, SGDTable.matched),
    Adagrad: (AdagradTable, AdagradTable.matched),
    Adam: (_adam, LazyAdamTable.matched),
    AdamW: (_adam, LazyAdamTable.matched),
}


class StepSetting(Protocol):
    """The size of an optimizer's steps."""

    @property
    def learning_rate(self) -> float:
        """The learning rate."""

    @property
    def weight_decay(self) -> float:
        """The weight decay, in the optimizer's own meaning of it."""


def matched_table(optimizer: object, recommender: nn.Module, setting: StepSetting | None = None) -> TableFactory:
    """Return what builds a table with the equivalent of a recommender's optimizer.

    Args:
        optimizer: The return value of the recommender's ``configure_optimizers``.
        recommender: The recommender, whose model says which parameters may stay; see :func:`refuse_fixed`.
        setting: Replaces the optimizer's learning rate and weight decay.

    Raises:
        UnmatchedError: If there is none.
    """
    if type(optimizer) not in _TABLES:
        raise UnmatchedError(f"configure_optimizers returns a {type(optimizer).__name__}, which {_NO_KERNEL}")
    assert isinstance(optimizer, Optimizer)
    kind, matched = _TABLES[type(optimizer)]
    refuse_other_parameters(optimizer, recommender, untrained(recommender), _NO_KERNEL)
    settings = matched_settings(optimizer, matched | {"weight_decay"}, _NO_KERNEL)
    if setting is not None:
        settings |= {"lr": setting.learning_rate, "weight_decay": setting.weight_decay}
    if "betas" in settings:
        _check_adam(settings["betas"], settings["eps"], settings["lr"] * settings["weight_decay"])
    return partial(kind, settings=settings)


def _check_adam(betas: tuple[float, float], eps: float, decay: float) -> None:
    converges = betas[1] <= _LARGEST_BETA and betas[0] < (1 - decay) * betas[1] ** 2
    if not (converges and eps >= _LEAST_EPS):
        raise UnmatchedError(
            f"Adam has the betas {betas}, the eps {eps} and takes {decay:g} off a weight in a step, which {_NO_KERNEL}"
        )


def matched_limits(recipe: Mapping[str, Any]) -> ClippingLimits:
    """Return the clipping that the arguments of a Trainer describe.

    Raises:
        UnmatchedError: If they name an unknown algorithm.
    """
    algorithm, largest = clipping_limit(recipe)
    limits = {"value": np.inf, "norm": np.inf, algorithm: largest}
    return ClippingLimits(np.float32(limits["value"]), np.float32(limits["norm"]))
