"""What every reward row adds to a child's score, from which the noise of its reward follows."""
# ruff: noqa: ARG002  (Lightning gives the hooks their arguments)

import pytorch_lightning as pl
from torch import Tensor

from lightning_modules.standard_errors import components_of

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
