"""One training: what it starts from, which epoch it keeps, and what it leaves."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lightning_modules.multitask import MultiTaskModel
from lightning_modules.polish.training import PolishTraining
from lightning_modules.training.convergence import TrainingSettings
from tests.polish.polish_helpers import RECIPE, SEED, curve, small_data, small_model

DATA = small_data()
OVERFITTING = partial(small_model, DATA, embedding_dim=16, bottom_dims=[64])


def training(**recipe: Any) -> PolishTraining:
    return PolishTraining(DATA, {**RECIPE, **recipe}, "val/log_loss", "min")


def mean_log_loss(model: MultiTaskModel, checkpoint: Path, split: str) -> float:
    model.load_state_dict(torch.load(checkpoint, weights_only=True)["state_dict"])
    rows = DATA.rows[split]
    with torch.no_grad():
        logit = model.eval()(rows.categorical, rows.numerical)
    return float(F.binary_cross_entropy_with_logits(logit, rows.label))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a seed below that of a polish."""
    (tmp_path / "seed_1").mkdir()
    return tmp_path / "seed_1"


def test_it_keeps_the_weights_of_the_best_epoch(folder: Path) -> None:
    tested = training().train(OVERFITTING, TrainingSettings(12, learning_rate=0.03), SEED, folder / "model.ckpt")
    scores = [value for _, value in curve(folder.parent, "model/seed_1/val/log_loss")]
    assert len(scores) == 12
    assert tested.epoch == 1 + int(np.argmin(scores)) < 12
    for split, metric in (("validation", "val/log_loss"), ("test", "test/log_loss")):
        found = mean_log_loss(OVERFITTING(), folder / "model.ckpt", split)
        assert found == pytest.approx(tested.metrics[metric], abs=1e-6)


def test_patience_ends_it(folder: Path) -> None:
    tested = training().train(
        OVERFITTING, TrainingSettings(60, patience=2, learning_rate=0.03), SEED, folder / "model.ckpt"
    )
    assert len(curve(folder.parent, "model/seed_1/val/log_loss")) == tested.epoch + 2


def test_the_order_of_the_batches_and_dropout_depend_on_the_seed_alone(folder: Path) -> None:
    def drawing_more() -> MultiTaskModel:
        model = small_model(DATA)
        torch.rand(100)
        return model

    found = []
    for number, (build, seed) in enumerate([(partial(small_model, DATA), 1), (drawing_more, 1), (drawing_more, 2)]):
        torch.rand(number)
        found.append(training().train(build, TrainingSettings(2), seed, folder / f"{number}.ckpt").logit)
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[1], found[2])


def test_the_random_numbers_of_the_caller_stay_as_they_are(folder: Path) -> None:
    torch.manual_seed(0)
    state = torch.get_rng_state()
    training().train(partial(small_model, DATA), TrainingSettings(1), SEED, folder / "model.ckpt")
    assert torch.equal(torch.get_rng_state(), state)


def test_all_test_rows_are_scored_however_much_of_an_epoch_is_trained(folder: Path) -> None:
    short = training(limit_train_batches=1, limit_predict_batches=1, limit_test_batches=1)
    tested = short.train(partial(small_model, DATA), TrainingSettings(1), SEED, folder / "model.ckpt")
    assert tested.logit is not None
    assert tested.logit.shape == DATA.rows["test"].label.shape


def test_a_training_without_a_finite_metric_leaves_nothing(folder: Path) -> None:
    tested = training().train(OVERFITTING, TrainingSettings(2, learning_rate=1e30), SEED, folder / "model.ckpt")
    assert (tested.metrics, tested.logit, tested.epoch) == ({}, None, 0)
    assert not (folder / "model.ckpt").exists()


def test_only_the_curves_of_the_last_attempt_are_kept(folder: Path) -> None:
    for name in ("model", "model", "other"):
        checkpoint = folder / f"{name}.ckpt"
        training().train(partial(small_model, DATA), TrainingSettings(2), SEED, checkpoint)
    for name in ("model", "other"):
        assert [epoch for epoch, _ in curve(folder.parent, f"{name}/seed_1/train/loss")] == [1, 2]
    assert {path.parent for path in folder.parent.rglob("events.out.tfevents.*")} == {folder.parent}
