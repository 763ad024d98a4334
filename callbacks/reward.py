"""The score of a training: its monitored metric, signed so that more is better."""
# ruff: noqa: ARG002  (Lightning gives the hooks their arguments)

import math
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from torch import Tensor


class RewardCallback(pl.Callback):
    """Turns the monitored metric of the last validation into a reward, where more is better.

    A training whose loss stops being finite is ended after that epoch. The losses are watched by a sum on their
    device that is read once an epoch, since it stays non-finite once a loss was, and no step waits for the device.
    Strategies that start processes of their own (ddp_spawn, ddp_fork) set the reward there, not in the caller's copy.

    Args:
        monitor: Name of the logged metric.
        mode: "max" if more of the metric is better, "min" (the reward is the negative metric) otherwise.
        floor: The reward of a training whose loss or metric is not finite, below that of every other. ``None`` is -1
            where more is better, as metrics from 0 to 1 want it, and -inf where less is; a metric that is to be large
            and can be below -1 wants one of its own.

    Attributes:
        reward: The reward of the last fit; ``floor`` until there is one.
        metric: The metric as it was logged, nan until there is one.
        status: "untrained" before a fit is over, then "trained", or "non-finite" if the reward is the floor.

    Raises:
        ValueError: If ``mode`` is neither "max" nor "min"; in ``fit``, if no metric of that name was logged.
    """

    def __init__(
        self, monitor: str = "val/auc", mode: Literal["max", "min"] = "max", floor: float | None = None
    ) -> None:
        if mode not in ("max", "min"):
            raise ValueError(f"mode says whether more of '{monitor}' is better and is 'max' or 'min', got '{mode}'")
        self.monitor = monitor
        self.mode = mode
        self.floor = floor if floor is not None else -1.0 if mode == "max" else -math.inf
        self._reset()

    def _reset(self) -> None:
        self.reward = self.floor
        self.metric = math.nan
        self.status: Literal["untrained", "trained", "non-finite"] = "untrained"

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Forget an earlier fit."""
        self._reset()
        self._loss_sum = torch.zeros((), device=pl_module.device)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Add the step's loss, without waiting for it; steps that return none are left out."""
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        if isinstance(loss, Tensor):
            self._loss_sum += loss.detach()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop all processes if a loss of any of them was not finite."""
        finite = math.isfinite(float(self._loss_sum))
        if trainer.strategy.reduce_boolean_decision(not finite, all=False):
            self.status = "non-finite"
            trainer.should_stop = True

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Read the metric and set the reward."""
        self.metric = self._monitored(trainer)
        if self.status == "non-finite" or not math.isfinite(self.metric):
            self.reward, self.status = self.floor, "non-finite"
            return
        self.reward, self.status = (self.metric if self.mode == "max" else -self.metric), "trained"

    def _monitored(self, trainer: pl.Trainer) -> float:
        metrics = trainer.callback_metrics
        if self.monitor not in metrics:
            if self.status == "non-finite":
                # It was ended before its first validation.
                return math.nan
            raise ValueError(
                f"the reward's metric '{self.monitor}' was not logged by {type(trainer.lightning_module).__name__}; "
                f"monitor one of {', '.join(sorted(metrics)) or 'none (nothing was logged)'}, "
                "and check that the trainer validates"
            )
        return float(metrics[self.monitor])
