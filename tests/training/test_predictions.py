from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytorch_lightning as pl
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor
from torch.utils.data import DataLoader

from datamodules import SyntheticInteractions
from lightning_modules.compare.training import MeasuredTraining
from lightning_modules.losses import BCE
from lightning_modules.recommenders import BiasedMF
from lightning_modules.statistics.auc import auc_standard_error
from lightning_modules.training.full_training import TrainingRun
from lightning_modules.training.predictions import label_of, load_scores, save_scores, scores
from lightning_modules.utilities.files import save_arrays
from tests.compare.compare_helpers import FAST, full_training, small_data


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
def train(data: SyntheticInteractions) -> MeasuredTraining:
    return full_training(data)


@pytest.fixture(scope="module")
def training(train: MeasuredTraining) -> TrainingRun:
    return train.train(BCE(), 0, FAST)


@pytest.mark.parametrize("split", ["validation", "test"])
def test_every_row_has_its_logit_in_its_place(data: SyntheticInteractions, training: TrainingRun, split: str) -> None:
    assert training.trainer is not None
    assert training.model is not None
    loader = data.val_dataloader() if split == "validation" else data.test_dataloader()
    result = scores(training.trainer, training.model, loader)
    rows = data.rows[split]
    assert len(rows.label) > 7
    with torch.no_grad():
        one_by_one = [training.model(rows.user[[n]], rows.item[[n]]) for n in range(len(rows.label))]
    assert torch.allclose(result.score, torch.cat(one_by_one), atol=1e-6)
    assert torch.equal(result.label, rows.label)
    assert torch.equal(result.user, rows.user)
    assert (result.score.dtype, result.user.dtype) == (torch.float32, torch.int64)


def test_their_auc_is_that_of_the_test(train: MeasuredTraining, training: TrainingRun) -> None:
    measured = train.measure(training)
    assert training.model is not None
    auc = roc_auc_score(measured.test.label, measured.test.score)
    assert auc == pytest.approx(measured.metrics["test/auc"], abs=1e-6)
    assert auc != pytest.approx(roc_auc_score(measured.validation.label, measured.validation.score), abs=1e-6)


def test_rows_without_a_user_are_users_of_their_own() -> None:
    feature = torch.linspace(-1, 1, 5)
    batches = [LabelOnly(feature[:3], torch.ones(3)), LabelOnly(feature[3:], torch.zeros(2))]
    loader: Any = DataLoader(batches, batch_size=None)  # type: ignore[arg-type]
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_checkpointing=False)
    result = scores(trainer, Linear(), loader)
    assert torch.equal(result.score, torch.sigmoid(feature))
    assert result.label.tolist() == [1, 1, 1, 0, 0]
    assert result.user.tolist() == [0, 1, 2, 3, 4]


class Far(BiasedMF):
    """Predicts what single precision has no probabilities for."""

    def forward(self, user: Tensor, item: Tensor) -> Tensor:
        return super().forward(user, item) + 200


def test_scores_keep_what_probabilities_round_away(data: SyntheticInteractions, training: TrainingRun) -> None:
    assert training.trainer is not None
    model = Far(data.num_users, data.num_items, init_std=1.0)
    result = scores(training.trainer, model, data.test_dataloader())
    rows = data.rows["test"]
    with torch.no_grad():
        logit = model(rows.user, rows.item)
        assert torch.equal(model.predict_step(rows), torch.ones(len(logit)))
    assert torch.equal(result.score, logit)
    assert auc_standard_error(result.score, result.label) > 0


def test_what_was_saved_is_loaded_and_probabilities_of_an_earlier_version_only_if_they_rank(tmp_path: Path) -> None:
    logit = torch.tensor([-2.0, 0.5, 30.0])
    save_scores(tmp_path / "new.npz", {"test": logit})
    assert torch.equal(load_scores(tmp_path / "new.npz", "test"), logit)
    probability = torch.sigmoid(logit)
    save_arrays(tmp_path / "old.npz", {"validation": probability[:2].numpy(), "test": probability.numpy()})
    assert load_scores(tmp_path / "old.npz", "validation").tolist() == pytest.approx([-2.0, 0.5], abs=1e-6)
    with pytest.raises(ValueError, match=r"old\.npz holds probabilities.* 1 of them were rounded to 0 or 1"):
        load_scores(tmp_path / "old.npz", "test")
    with pytest.raises(ValueError, match=r"new\.npz holds no scores of the validation rows"):
        load_scores(tmp_path / "new.npz", "validation")


@pytest.mark.parametrize(
    "batch",
    [LabelOnly(torch.zeros(3), torch.tensor([0.0, 1.0, 1.0])), [torch.zeros(3, 2), torch.tensor([[0], [1], [1]])]],
    ids=["attribute", "pair"],
)
def test_labels_of_a_batch(batch: Any) -> None:
    assert label_of(batch).tolist() == label_of({"label": label_of(batch)}).tolist() == [0.0, 1.0, 1.0]


@pytest.mark.parametrize("batch", [torch.zeros(3), {"x": torch.zeros(3)}, ("a", "b")])
def test_a_batch_without_labels_is_refused(batch: Any) -> None:
    with pytest.raises(ValueError, match="the labels of a batch are not known"):
        label_of(batch)
