"""Overrides the learning rate and weight decay of a model's optimizers."""
# ruff: noqa: ARG002  (Lightning gives the hooks their arguments)

from collections.abc import Iterator
from typing import Any

import pytorch_lightning as pl
from lightning_fabric.utilities.exceptions import MisconfigurationException
from torch.optim import Optimizer


class OptimizerSettings(pl.Callback):
    """Sets the learning rate and weight decay of every parameter group when training starts.

    A model thereby keeps its kind of optimizer, whatever it is. Schedulers go on from the new learning rate, one that
    warms up from the same share of it as before.

    Args:
        learning_rate: Learning rate, > 0; None leaves the optimizer's.
        weight_decay: Weight decay, in the optimizer's own meaning of it, >= 0; None leaves the optimizer's.

    Raises:
        MisconfigurationException: When training starts, if an optimizer has no weight decay, and one is asked for.
    """

    def __init__(self, learning_rate: float | None = None, weight_decay: float | None = None) -> None:
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Set both, in the schedulers' memory too."""
        for optimizer in trainer.optimizers:
            for group in optimizer.param_groups:
                if self.weight_decay is not None:
                    self._check(optimizer, group)
                    group["weight_decay"] = self.weight_decay
                if self.learning_rate is not None:
                    _set_learning_rate(group, self.learning_rate)
        if self.learning_rate is not None:
            for config in trainer.lr_scheduler_configs:
                _set_base(config.scheduler, self.learning_rate)

    def _check(self, optimizer: Optimizer, group: dict[str, object]) -> None:
        if "weight_decay" not in group and self.weight_decay:
            raise MisconfigurationException(
                f"{type(optimizer).__name__} has no weight decay that {self.weight_decay} could be set for; "
                "compare with --compare.weight_decays [0], or choose another optimizer"
            )


def _set_learning_rate(group: dict[str, Any], learning_rate: float) -> None:
    # A scheduler that begins below the learning rate has set that share already.
    share = group["lr"] / group["initial_lr"] if group.get("initial_lr") else 1.0
    group["lr"] = learning_rate * share
    if "initial_lr" in group:
        group["initial_lr"] = learning_rate


def _set_base(scheduler: Any, learning_rate: float) -> None:
    for each in _with_parts(scheduler):
        if hasattr(each, "base_lrs"):
            each.base_lrs = [learning_rate] * len(each.base_lrs)


def _with_parts(scheduler: Any) -> Iterator[Any]:
    """Yield a scheduler and those that it is made of."""
    yield scheduler
    for part in getattr(scheduler, "_schedulers", ()):
        yield from _with_parts(part)
