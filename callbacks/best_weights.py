"""The weights of the best epoch, kept in memory."""

import math
from typing import Literal

import pytorch_lightning as pl
from torch import Tensor


class BestWeights(pl.Callback):
    """Keeps the weights and metrics of the validation with the best metric; trainings by the dozen need no files.

    Args:
        monitor: Name of the logged metric.
        mode: Whether more (max) or less (min) of it is better.

    Attributes:
        epoch: The best epoch, counted from 1; 0 until there is one.
        latest_is_best: Whether the latest validation is the best so far. It is set in ``on_validation_end``: callbacks
            that ask there must come after this one.
        metrics: All metrics of that validation; empty until there is one.
        weights: The weights at that time, on the device of the training; empty until there are some.
    """

    def __init__(self, monitor: str = "val/auc", mode: Literal["max", "min"] = "max") -> None:
        self.monitor = monitor
        self.sign = 1.0 if mode == "max" else -1.0
        self.epoch = 0
        self.latest_is_best = False
        self.metrics: dict[str, float] = {}
        self.weights: dict[str, Tensor] = {}

    @property
    def score(self) -> float:
        """The best metric, negated where less is better; -inf until there is one."""
        return self.sign * self.metrics[self.monitor] if self.metrics else -math.inf

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the weights of a better epoch; one whose metric is not a number is never better."""
        metrics = trainer.callback_metrics
        counts = not trainer.sanity_checking and self.monitor in metrics
        self.latest_is_best = counts and self.sign * float(metrics[self.monitor]) > self.score
        if self.latest_is_best:
            self.epoch = trainer.current_epoch + 1
            self.metrics = {name: float(value) for name, value in metrics.items()}
            self.weights = {name: value.clone() for name, value in pl_module.state_dict().items()}
