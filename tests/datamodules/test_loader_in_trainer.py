"""Lightning's Trainer must take the loader as it is and resume it where it was."""

import ast
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor

from datamodules import Batch, BatchLoader, SyntheticInteractions

EPOCHS, STEPS = 3, 5


class Recorder(pl.LightningModule):
    """Keeps the users of every batch it is trained on."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: list[list[int]] = []

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        self.seen.append(batch.user.tolist())
        return self.weight * batch.label.mean()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        pass

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def data(seed: int | None = None) -> SyntheticInteractions:
    return SyntheticInteractions(num_users=9, num_items=9, num_interactions=50, batch_size=8, seed=seed)


def fit(folder: Path, data: SyntheticInteractions, checkpoint: Path | None = None) -> Recorder:
    model = Recorder()
    saved = ModelCheckpoint(folder, filename="{step}", every_n_train_steps=1, save_top_k=-1)
    ended = ModelCheckpoint(folder, filename="end-{epoch}", save_top_k=-1)
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=EPOCHS,
        logger=False,
        callbacks=[saved, ended],
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, data, ckpt_path=checkpoint, weights_only=True)
    return model


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("checkpoint", "steps_done"),
    [("step=3", 3), ("step=7", 7), ("step=10", 10), ("end-epoch=0", 5), ("end-epoch=1", 10)],
)
def test_resumed_training_sees_what_an_uninterrupted_one_sees(tmp_path: Path, checkpoint: str, steps_done: int) -> None:
    torch.manual_seed(1)
    whole = fit(tmp_path / "whole", data())
    assert len(whole.seen) == EPOCHS * STEPS
    assert whole.seen[:STEPS] != whole.seen[STEPS : 2 * STEPS]
    torch.manual_seed(2)
    resumed = fit(tmp_path / "resumed", data(), tmp_path / "whole" / f"{checkpoint}.ckpt")
    assert resumed.seen == whole.seen[steps_done:]


@pytest.mark.filterwarnings("ignore")
def test_another_batch_size_is_taken_from_the_next_epoch_on(tmp_path: Path) -> None:
    fit(tmp_path / "whole", data(seed=1))
    larger = data(seed=1)
    larger.batch_size = 20
    with pytest.raises(ValueError, match="after 3 batches of 8 rows in 1 process"):
        fit(tmp_path / "inside", larger, tmp_path / "whole" / "step=3.ckpt")
    resumed = fit(tmp_path / "behind", larger, tmp_path / "whole" / "end-epoch=1.ckpt")
    assert [len(users) for users in resumed.seen] == [20, 20]


@pytest.mark.filterwarnings("ignore")
def test_order_follows_the_option_seed_and_else_torch(tmp_path: Path) -> None:
    torch.manual_seed(1)
    first, fixed = fit(tmp_path / "a", data()).seen, fit(tmp_path / "b", data(seed=4)).seen
    torch.manual_seed(2)
    assert fit(tmp_path / "c", data()).seen != first
    assert fit(tmp_path / "d", data(seed=4)).seen == fixed
    torch.manual_seed(1)
    assert fit(tmp_path / "e", data()).seen == first


def test_every_process_takes_the_seed_of_the_first() -> None:
    source = data()
    source.trainer = SimpleNamespace(world_size=2, strategy=SimpleNamespace(broadcast=lambda _: 7))  # type: ignore[assignment]
    source.setup("fit")
    assert source.train_dataloader().seed == source.state_dict()["seed"] == 7
    fixed = data(seed=4)
    fixed.trainer = source.trainer
    fixed.setup("fit")
    assert fixed.train_dataloader().seed == 4


_TWO_PROCESSES = """
import pathlib, pytorch_lightning, torch
from tests.datamodules.test_loader_in_trainer import Recorder, data
quiet = dict(logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
trainer = pytorch_lightning.Trainer(accelerator="cpu", devices=2, strategy="ddp", max_epochs=1, **quiet)
model, source = Recorder(), data()
source.setup()
source.rows["train"] = source.rows["train"]._replace(user=torch.arange(40))
trainer.fit(model, source)
pathlib.Path(f"{model.global_rank}.txt").write_text(str(model.seen))
trainer.strategy.barrier()
"""


@pytest.mark.slow
def test_processes_without_a_seed_share_all_rows(tmp_path: Path) -> None:
    (tmp_path / "two.py").write_text(_TWO_PROCESSES)
    paths = {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    subprocess.run([sys.executable, "two.py"], cwd=tmp_path, env={**os.environ, **paths}, check=True)
    seen = [ast.literal_eval((tmp_path / f"{rank}.txt").read_text()) for rank in range(2)]
    assert sorted(user for part in seen for batch in part for user in batch) == [*range(40)]


@pytest.mark.filterwarnings("ignore")
def test_predictions_come_in_the_order_of_the_rows() -> None:
    class Predictor(Recorder):
        def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
            return batch.item

    source = data()
    source.eval_batch_size = 3
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False)
    predictions = trainer.predict(Predictor(), source)
    torch.testing.assert_close(torch.cat(cast(list[Tensor], predictions)), source.rows["test"].item)


@pytest.mark.filterwarnings("ignore")
def test_trainer_runs_over_a_bare_loader(tmp_path: Path) -> None:
    rows = Batch(torch.arange(12), torch.arange(12), torch.ones(12))
    model = Recorder()
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=2, logger=False, enable_checkpointing=False, enable_progress_bar=False
    )
    trainer.fit(model, BatchLoader(rows, 5, shuffle=True, seed=0))
    assert [len(users) for users in model.seen] == [5, 5, 2] * 2
