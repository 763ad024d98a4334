"""The reward of trainings that broke, which lies below that of every other."""

import math
from collections.abc import Iterable

import pandas as pd
import pytorch_lightning as pl
from torch import Tensor

from lightning_modules.statistics.standard_errors import components_of

#: The reward of a child that failed, or whose loss or metric was not finite, where no trained one has as little.
FAILURE_REWARD = -1.0


def failure_reward(rewards: Iterable[float]) -> float:
    """Return what a broken training is given beside trained ones with these rewards: less than any of them has.

    It is -1 wherever that is less, as it is for differences in AUC; log-loss, or a metric without a baseline, may fall
    further.
    """
    lowest = min(rewards, default=math.inf)
    return FAILURE_REWARD if lowest > FAILURE_REWARD else 2 * lowest


def with_failure_rewards(losses: pd.DataFrame) -> pd.DataFrame:
    """Return a table of losses in which those that broke have less than all that were trained, also later ones."""
    if not {"status", "reward"} <= {*losses}:
        return losses
    broken = losses["status"] != "trained"
    trained = losses.loc[~broken, "reward"].astype(float)
    return losses.assign(reward=losses["reward"].where(~broken, failure_reward(trained)))


# ruff: noqa: ARG002  (Lightning gives the hooks their arguments)


_SPLIT = "val/"


class RewardRows(pl.Callback):
    """Keeps what every row of the last validation adds to the monitored metric.

    Args:
        monitor: Name of the metric, as it is logged.

    Attributes:
        components: float32 on the CPU, of shape [n]; ``None`` where the metric is no AUC.
    """

    def __init__(self, monitor: str) -> None:
        self.monitor = monitor
        self.components: Tensor | None = None

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Ask the module's metrics, which forget their rows after this."""
        self.components = components_of(getattr(pl_module, "metrics", None), metric_name(self.monitor))


def metric_name(monitor: str) -> str:
    """Return what a model's metrics call a metric that is logged under this name in validation."""
    return monitor.removeprefix(_SPLIT)
