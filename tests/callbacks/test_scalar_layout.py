from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout
from torch.utils.data import DataLoader, TensorDataset

from callbacks.scalar_layout import ScalarLayout

LAYOUT = {"Losses": {"both": "train/loss(/.*)?", "one": "train/loss/a"}, "Rest": {"score": "score"}}


class Line(pl.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(1, 1)

    def training_step(self, batch: list[torch.Tensor]) -> torch.Tensor:
        return self.linear(batch[0]).square().mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_the_layout_is_written_once_into_the_run_of_every_tensorboard_logger(tmp_path: Path) -> None:
    loggers = [TensorBoardLogger(tmp_path, "first"), CSVLogger(tmp_path), TensorBoardLogger(tmp_path, "second")]
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    trainer = pl.Trainer(max_epochs=2, accelerator="cpu", logger=loggers, callbacks=[ScalarLayout(LAYOUT)], **quiet)
    trainer.fit(Line(), DataLoader(TensorDataset(torch.ones(4, 1))))
    for name in ("first", "second"):
        events = EventAccumulator(str(tmp_path / name / "version_0")).Reload()
        (written,) = events.Tensors("custom_scalars__config__")
        layout = Layout.FromString(written.tensor_proto.string_val[0])
        found = {
            group.title: {chart.title: list(chart.multiline.tag) for chart in group.chart} for group in layout.category
        }
        assert found == {
            "Losses": {"both": ["(?:train/loss(/.*)?)$"], "one": ["(?:train/loss/a)$"]},
            "Rest": {"score": ["(?:score)$"]},
        }
