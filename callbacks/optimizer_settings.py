"""Overrides the learning rate and weight decay of a model's optimizers."""
# ruff: noqa: ARG002  (Lightning gives the hooks their arguments)

from collections.abc import Iterator, Sequence
from typing import Any

import pytorch_lightning as pl
from lightning_fabric.utilities.exceptions import MisconfigurationException
from torch.optim import Optimizer

_RATES_OF_SCHEDULERS = ("base_lrs", "max_lrs")


class OptimizerSettings(pl.Callback):
    """Sets the learning rate and weight decay of every parameter group when training starts.

    A model thereby keeps its kind of optimizer, whatever it is. Schedulers go on from the new learning rate, one that
    warms up from the same share of it as before. Of schedulers that rise to a peak of their own (``OneCycleLR``,
    ``CyclicLR``) it is the peak, and all their rates are multiplied alike. Floors, such as ``eta_min`` and the
    ``min_lr`` of ``ReduceLROnPlateau``, stay.

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
            if self.weight_decay is not None:
                for group in optimizer.param_groups:
                    self._check(optimizer, group)
                    group["weight_decay"] = self.weight_decay
            if self.learning_rate is not None:
                _set_learning_rate(optimizer, _schedulers_of(trainer, optimizer), self.learning_rate)

    def _check(self, optimizer: Optimizer, group: dict[str, object]) -> None:
        if "weight_decay" not in group and self.weight_decay:
            raise MisconfigurationException(
                f"{type(optimizer).__name__} has no weight decay that {self.weight_decay} could be set for; "
                "compare with --compare.weight_decays [0], or choose another optimizer"
            )


def _schedulers_of(trainer: pl.Trainer, optimizer: Optimizer) -> list[Any]:
    every = [each for config in trainer.lr_scheduler_configs for each in _with_parts(config.scheduler)]
    # What a strategy wraps is not the object that the scheduler knows.
    alone = len(trainer.optimizers) == 1
    return [each for each in every if alone or getattr(each, "optimizer", optimizer) is optimizer]


def _set_learning_rate(optimizer: Optimizer, schedulers: Sequence[Any], learning_rate: float) -> None:
    """Multiply all rates that groups and schedulers keep, so that the highest of every group is the learning rate."""
    old = [_learning_rate(index, group, schedulers) for index, group in enumerate(optimizer.param_groups)]
    for group, old_rate in zip(optimizer.param_groups, old, strict=True):
        # OneCycleLR keeps both its bounds there; another `min_lr` is not known to be one.
        names = ("lr", "initial_lr", "max_lr", "min_lr") if "max_lr" in group else ("lr", "initial_lr")
        # A scheduler that begins below the learning rate has set that share already.
        group.update({name: learning_rate * _share(group[name], old_rate) for name in names if name in group})
    for each in schedulers:
        for name in _RATES_OF_SCHEDULERS:
            if hasattr(each, name):
                # There are fewer rates than groups where groups were added later.
                pairs = zip(getattr(each, name), old, strict=False)
                setattr(each, name, [learning_rate * _share(rate, old_rate) for rate, old_rate in pairs])


def _learning_rate(index: int, group: dict[str, Any], schedulers: Sequence[Any]) -> float:
    """Return a group's learning rate: that which its schedulers started from, or the peak that one of them rises to."""
    peaks = [each.max_lrs[index] for each in schedulers if index < len(getattr(each, "max_lrs", ()))]
    own: float = group.get("initial_lr", group["lr"])
    highest: float = max([own, group.get("max_lr", own), *peaks])
    return highest


def _share(rate: float, of: float) -> float:
    return rate / of if of else 1.0


def _with_parts(scheduler: Any) -> Iterator[Any]:
    """Yield a scheduler and those that it is made of."""
    yield scheduler
    for part in getattr(scheduler, "_schedulers", ()):
        yield from _with_parts(part)
