"""When the last checkpoint is written, and that a training goes on from it wherever that was."""

import os
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from callbacks import LastCheckpoint
from datamodules import SyntheticImpressions
from lightning_modules.multitask import SharedBottom
from lightning_modules.multitask.weighting import DynamicWeightAveraging


class EveryOne(LastCheckpoint):
    """Keeps them all, by the number of the step."""

    def on_train_batch_end(self, trainer: Any, *rest: Any) -> None:
        self.filename = f"{trainer.global_step}-step"
        super().on_train_batch_end(trainer, *rest)

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        self.filename = f"{trainer.global_step}-end"
        super().on_train_epoch_end(trainer, module)


def fitted(root: Path, callback: pl.Callback, checkpoint: Path | None = None, **options: Any) -> dict[str, Any]:
    torch.manual_seed(0 if checkpoint is None else 1)
    data = SyntheticImpressions(num_sessions=100, session_length=4, batch_size=64, seed=3)
    sizes: dict[str, Any] = {"embedding_dim": 4, "bottom_dims": [8], "tower_dims": [4], "dropout": 0.3}
    tasks = data.field_sizes, data.num_numerical, data.tasks
    model = SharedBottom(*tasks, **sizes, weighting=DynamicWeightAveraging())
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    trainer = pl.Trainer(**quiet, max_epochs=3, callbacks=[callback], default_root_dir=root, **options)
    trainer.fit(model, datamodule=data, ckpt_path=checkpoint, weights_only=None if checkpoint is None else True)
    return {name: value.clone() for name, value in model.state_dict().items()}


@pytest.mark.parametrize(
    ("options", "written"),
    [
        ({}, "1-step 2-step 3-step 4-step 5-end 6-step 7-step 8-step 9-step 10-end"),
        ({"val_check_interval": 0.5}, "1-step 3-step 5-end 6-step 8-step 10-end"),
        ({"val_check_interval": 3, "check_val_every_n_epoch": None}, "1-step 2-step 4-step 5-end 7-step 8-step 10-end"),
        ({"check_val_every_n_epoch": 2}, "1-step 2-step 3-step 4-step 5-end 6-step 7-step 8-step 9-step 10-end"),
        ({"accumulate_grad_batches": 2}, "1-step 2-step 3-end 4-step 5-step 6-end"),
        ({"limit_val_batches": 0}, "1-step 2-step 3-step 4-step 5-end 6-step 7-step 8-step 9-step 10-end"),
    ],
)
def test_a_training_goes_on_from_wherever_it_is_written(options: dict[str, Any], written: str, tmp_path: Path) -> None:
    expected = fitted(tmp_path, EveryOne(every_n_train_steps=1), **options)
    paths = sorted((tmp_path / "checkpoints").iterdir(), key=lambda path: int(path.stem.split("-")[0]))
    two_epochs = paths[: len(written.split())]
    assert " ".join(path.stem for path in two_epochs) == written
    for path in two_epochs:
        ended = fitted(tmp_path / "resumed", LastCheckpoint(), path, **options)
        assert all(torch.equal(value, ended[name]) for name, value in expected.items()), path.stem


def test_it_is_never_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fitted(tmp_path, LastCheckpoint())
    path = tmp_path / "checkpoints" / "last.ckpt"
    before = path.read_bytes()

    def failing(self: pl.Trainer, filepath: Path, **options: Any) -> None:
        filepath.write_bytes(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(pl.Trainer, "save_checkpoint", failing)
    with pytest.raises(OSError, match="no space left"):
        fitted(tmp_path, LastCheckpoint())
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == ["last.ckpt"]


def test_a_trial_run_writes_none(tmp_path: Path) -> None:
    fitted(tmp_path, LastCheckpoint(), fast_dev_run=True)
    assert not (tmp_path / "checkpoints").exists()


def test_a_negative_number_of_steps_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be -1"):
        LastCheckpoint(every_n_train_steps=-1)
