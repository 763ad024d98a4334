from typing import Any, NamedTuple

import pytest
import pytorch_lightning as pl
import torch
from compare_helpers import FAST, full_training, small_data
from sklearn.metrics import roc_auc_score
from torch import Tensor
from torch.utils.data import DataLoader

from datamodules import SyntheticInteractions
from lightning_modules.compare.scoring import scores
from lightning_modules.compare.training import FullTraining, Training
from lightning_modules.losses import BCE


class LabelOnly(NamedTuple):
    feature: Tensor
    label: Tensor


class Linear(pl.LightningModule):
    """Scores rows that belong to no user."""

    def predict_step(self, batch: LabelOnly) -> Tensor:
        return torch.sigmoid(batch.feature)


@pytest.fixture(scope="module")
def data() -> SyntheticInteractions:
    return small_data(eval_batch_size=7)


@pytest.fixture(scope="module")
def train(data: SyntheticInteractions) -> FullTraining:
    return full_training(data)


@pytest.fixture(scope="module")
def training(train: FullTraining) -> Training:
    return train(BCE(), 0, FAST)


@pytest.mark.parametrize("split", ["validation", "test"])
def test_every_row_has_the_probability_of_predict_step_in_its_place(
    data: SyntheticInteractions, training: Training, split: str
) -> None:
    assert training.trainer is not None
    assert training.model is not None
    loader = data.val_dataloader() if split == "validation" else data.test_dataloader()
    result = scores(training.trainer, training.model, loader)
    rows = data.rows[split]
    assert len(rows.label) > 7
    with torch.no_grad():
        one_by_one = [training.model(rows.user[[n]], rows.item[[n]]).sigmoid() for n in range(len(rows.label))]
    assert torch.allclose(result.probability, torch.cat(one_by_one), atol=1e-6)
    assert torch.equal(result.label, rows.label)
    assert torch.equal(result.user, rows.user)
    assert (result.probability.dtype, result.user.dtype) == (torch.float32, torch.int64)


def test_their_auc_is_that_of_the_test(train: FullTraining, training: Training) -> None:
    measured = train.measure(training)
    assert training.model is not None
    auc = roc_auc_score(measured.test.label, measured.test.probability)
    assert auc == pytest.approx(measured.metrics["test/auc"], abs=1e-6)
    assert auc != pytest.approx(roc_auc_score(measured.validation.label, measured.validation.probability), abs=1e-6)


def test_rows_without_a_user_are_users_of_their_own() -> None:
    feature = torch.linspace(-1, 1, 5)
    batches = [LabelOnly(feature[:3], torch.ones(3)), LabelOnly(feature[3:], torch.zeros(2))]
    loader: Any = DataLoader(batches, batch_size=None)  # type: ignore[arg-type]
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_checkpointing=False)
    result = scores(trainer, Linear(), loader)
    assert torch.equal(result.probability, torch.sigmoid(feature))
    assert result.label.tolist() == [1, 1, 1, 0, 0]
    assert result.user.tolist() == [0, 1, 2, 3, 4]
