"""Lightning's Trainer must get the negatives of every batch, and the same ones when it resumes."""

from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor

from datamodules import CatalogueBatch, SyntheticFeedback, TopNBatch

EPOCHS, STEPS = 3, 4


class Recorder(pl.LightningModule):
    """Keeps the negatives of every batch, and the users it is validated on."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: list[list[list[int]]] = []
        self.users: list[int] = []

    def training_step(self, batch: TopNBatch, batch_idx: int) -> Tensor:
        self.seen.append([batch.user.tolist(), batch.item.tolist(), batch.negative.tolist()])
        return self.weight * 1.0

    def validation_step(self, batch: CatalogueBatch, batch_idx: int) -> None:
        self.users += batch.user.tolist()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def data(seed: int | None = None, data_seed: int = 0) -> SyntheticFeedback:
    return SyntheticFeedback(
        num_users=30, num_items=50, num_interactions=450, batch_size=100, seed=seed, data_seed=data_seed
    )


def fit(folder: Path, data: SyntheticFeedback, checkpoint: Path | None = None) -> Recorder:
    model = Recorder()
    saved = ModelCheckpoint(folder, filename="{step}", every_n_train_steps=1, save_top_k=-1)
    options = {"enable_progress_bar": False, "enable_model_summary": False, "num_sanity_val_steps": 0}
    trainer = pl.Trainer(accelerator="cpu", max_epochs=EPOCHS, logger=False, callbacks=[saved], **options)  # type: ignore[arg-type]
    trainer.fit(model, datamodule=data, ckpt_path=checkpoint, weights_only=True)
    return model


@pytest.mark.filterwarnings("ignore")
def test_a_resumed_training_gets_the_negatives_that_follow(tmp_path: Path) -> None:
    torch.manual_seed(1)
    whole = fit(tmp_path / "whole", data())
    assert len(whole.seen) == EPOCHS * STEPS
    assert len({str(negative) for _, _, negative in whole.seen}) == EPOCHS * STEPS
    torch.manual_seed(2)
    for steps in (3, 6):
        resumed = fit(tmp_path / "resumed", data(), tmp_path / "whole" / f"step={steps}.ckpt")
        assert resumed.seen == whole.seen[steps:]


@pytest.mark.filterwarnings("ignore")
def test_a_training_of_other_rows_is_not_resumed(tmp_path: Path) -> None:
    fit(tmp_path / "whole", data())
    with pytest.raises(ValueError, match="was begun with other data"):
        fit(tmp_path / "resumed", data(data_seed=1), tmp_path / "whole" / "step=3.ckpt")


@pytest.mark.filterwarnings("ignore")
def test_the_seed_decides_the_negatives_and_all_users_are_validated(tmp_path: Path) -> None:
    first, same, other = (fit(tmp_path / str(number), data(seed)) for number, seed in enumerate((1, 1, 2)))
    assert first.seen == same.seen != other.seen
    assert first.users == [*range(30)] * EPOCHS
