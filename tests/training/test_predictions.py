from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytorch_lightning as pl
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from datamodules import SyntheticInteractions
from datamodules.batches import CatalogueBatch
from lightning_modules.compare.training import MeasuredTraining
from lightning_modules.losses import BCE
from lightning_modules.recommenders import BiasedMF
from lightning_modules.statistics.auc import auc_standard_error
from lightning_modules.training.full_training import TrainingRun
from lightning_modules.training.predictions import load_scores, save_scores, scores, user_values
from lightning_modules.training.trainers import scoring_trainer
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
    result = scores(scoring_trainer({"accelerator": "cpu"}), Linear(), loader)
    assert torch.equal(result.score, torch.sigmoid(feature))
    assert result.label.tolist() == [1, 1, 1, 0, 0]
    assert result.user.tolist() == [0, 1, 2, 3, 4]


class Shuffled:
    """Batches whose order is another one in every pass, which nothing in them says."""

    def __init__(self, batches: list[Any]) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[Any]:
        # Backwards after forwards: never twice the same.
        self.batches.reverse()
        return iter([*self.batches])


class Changing(Linear):
    """Changes the batch that it is given."""

    def predict_step(self, batch: LabelOnly) -> Tensor:
        batch.label.zero_()
        return super().predict_step(batch)


@pytest.mark.parametrize("kind", [Linear, Changing])
def test_labels_are_read_in_the_pass_that_predicts(kind: type[Linear]) -> None:
    label = (torch.arange(20) % 3 == 0).float()
    loader = Shuffled([LabelOnly(part, part.clone()) for part in label.split(4)])
    trainer = scoring_trainer({"accelerator": "cpu"})
    before = [*trainer.callbacks]  # type: ignore[attr-defined]
    result = scores(trainer, kind(), loader)
    assert torch.equal(result.score, torch.sigmoid(result.label))
    assert result.label.sum() == label.sum()
    assert trainer.callbacks == before  # type: ignore[attr-defined]


def test_users_are_read_in_the_pass_that_ranks() -> None:
    none = torch.empty(2, 0, dtype=torch.int64)
    # The first user of every block has items: one of the second block, two of the third.
    relevant = [torch.stack([torch.zeros(count, dtype=torch.int64), torch.arange(count)]) for count in range(3)]
    blocks = [CatalogueBatch(user, none, own) for user, own in zip(torch.arange(9).split(3), relevant, strict=True)]
    trainer = scoring_trainer({"accelerator": "cpu"})
    result = user_values(trainer, Linear(), Shuffled(blocks), lambda batch: batch.user / 7)
    assert torch.equal(result.score, result.user / 7)
    assert dict(zip(result.user.tolist(), result.label.tolist(), strict=True)) == {3: 1, 6: 2}


def test_shuffled_rows_are_refused() -> None:
    loader: Any = DataLoader(TensorDataset(torch.zeros(6), torch.zeros(6)), shuffle=True)
    for call in (scores, partial(user_values, step=lambda batch: batch)):
        with pytest.raises(ValueError, match="turn shuffling off in val_dataloader and test_dataloader"):
            call(scoring_trainer({"accelerator": "cpu"}), Linear(), loader)


@pytest.mark.parametrize("label", [2.0, -1.0, 0.5, torch.nan])
def test_labels_that_rank_nothing_are_refused(label: float) -> None:
    batches = [LabelOnly(torch.zeros(3), torch.tensor([0.0, label, 1.0])), LabelOnly(torch.zeros(1), torch.ones(1))]
    loader: Any = DataLoader(batches, batch_size=None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=rf"1 of 4 labels are neither 0 nor 1, such as {label:g}"):
        scores(scoring_trainer({"accelerator": "cpu"}), Linear(), loader)


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
