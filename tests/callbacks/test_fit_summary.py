"""What is said when a training has ended, of a module whose metric is given beforehand."""

import logging
import math
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
from torch import Tensor

from callbacks import FitSummary, LastCheckpoint

NAN = math.nan


class Scripted(pl.LightningModule):
    """Logs a value an epoch."""

    def __init__(self, values: list[float]) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.values = values

    def training_step(self, batch: Any) -> Tensor:
        return self.weight * 0

    def validation_step(self, batch: Any) -> None:
        self.log("val/auc", torch.tensor(self.values[self.current_epoch]))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.fixture
def said(tmp_path: Path, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder) -> Any:
    """Train, and return the warnings and the lines of the log that the summary left."""

    def train(values: list[float], *callbacks: pl.Callback) -> tuple[list[str], list[str]]:
        with caplog.at_level(logging.INFO, "pytorch_lightning"):
            trainer = pl.Trainer(
                max_epochs=len(values),
                callbacks=[*callbacks, FitSummary()],
                default_root_dir=tmp_path,
                accelerator="cpu",
                logger=False,
                enable_progress_bar=False,
                enable_model_summary=False,
                enable_checkpointing=any(isinstance(each, ModelCheckpoint | LastCheckpoint) for each in callbacks),
                num_sanity_val_steps=0,
            )
            trainer.fit(Scripted(values), [torch.zeros(1)], [torch.zeros(1)])
        warned = [str(each.message) for each in recwarn if "val/auc" in str(each.message)]
        return warned, [each.getMessage() for each in caplog.records if "--ckpt_path" in each.getMessage()]

    return train


def best(mode: str = "max") -> ModelCheckpoint:
    return ModelCheckpoint(monitor="val/auc", mode=mode, filename="best")


@pytest.mark.parametrize(("mode", "value"), [("max", "0.7500"), ("min", "0.2500")])
def test_the_best_checkpoint_is_named_with_its_metric(said: Any, tmp_path: Path, mode: str, value: str) -> None:
    warned, log = said([0.5, 0.75, 0.25], best(mode), LastCheckpoint())
    path = tmp_path / "checkpoints" / "best.ckpt"
    assert log == [f"For test and predict take --ckpt_path {path}: it has the best val/auc, {value}"]
    assert torch.load(path, weights_only=True)["epoch"] == (1 if mode == "max" else 2)
    assert not warned


def test_without_a_best_one_the_last_is_named(said: Any, tmp_path: Path) -> None:
    warned, log = said([0.5, 0.75], LastCheckpoint())
    path = tmp_path / "checkpoints" / "last.ckpt"
    assert log == [f"For test and predict take --ckpt_path {path}: it has the weights of the last epoch"]
    assert not warned


def test_a_training_without_checkpoints_names_none(said: Any) -> None:
    assert said([0.5, 0.75]) == ([], [])


@pytest.mark.parametrize("value", [NAN, math.inf])
def test_a_metric_that_is_no_number_is_said_to_have_ended_the_training(said: Any, value: float) -> None:
    warned, _ = said([0.5, 0.75, value, 0.8], EarlyStopping("val/auc", mode="max", patience=3))
    assert len(warned) == 1
    assert f"EarlyStopping ended the training after epoch 3 because val/auc is {value}" in warned[0]


def test_a_training_that_ran_out_of_patience_is_not_warned_of(said: Any) -> None:
    assert said([0.5, 0.4, 0.3, 0.2], EarlyStopping("val/auc", mode="max", patience=2)) == ([], [])


def test_the_first_epoch_is_not_called_the_best_where_no_epoch_has_a_metric(said: Any, tmp_path: Path) -> None:
    warned, log = said([NAN, NAN], best(), LastCheckpoint())
    assert warned == [
        f"{tmp_path / 'checkpoints' / 'best.ckpt'} is the first epoch's, not the best's: val/auc was never a number"
    ]
    assert log == [
        f"For test and predict take --ckpt_path {tmp_path / 'checkpoints' / 'last.ckpt'}: "
        "it has the weights of the last epoch"
    ]
