"""TensorBoard's custom scalars: which of them share a chart."""
# ruff: noqa: ARG002  (Lightning gives the hooks their arguments)

from collections.abc import Mapping

import pytorch_lightning as pl
from pytorch_lightning.loggers import TensorBoardLogger
from torch.utils.tensorboard import SummaryWriter

#: Patterns of the whole names of scalars, by the titles of charts, by the titles of their groups.
Layout = Mapping[str, Mapping[str, str]]


class ScalarLayout(pl.Callback):
    """Lays out a training's scalars on TensorBoard's page of custom scalars when the training starts.

    Args:
        layout: What belongs on one chart.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the layout to every TensorBoard logger."""
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                write_layout(logger.experiment, self.layout)


def write_layout(writer: SummaryWriter, layout: Layout) -> None:
    """Write a layout into a run; TensorBoard shows every chart for all runs that have such scalars."""
    # TensorBoard compares the beginnings of names.
    groups = {
        group: {chart: ["Multiline", [f"(?:{names})$"]] for chart, names in charts.items()}
        for group, charts in layout.items()
    }
    writer.add_custom_scalars(groups)
