import copy
import math
import random
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint, EarlyStopping, ModelCheckpoint
from sklearn.metrics import roc_auc_score
from torch import Tensor

from lightning_modules.losses import BCE, MSE, Loss
from lightning_modules.training.full_training import TrainingRun
from lightning_modules.training.statuses import DIVERGED, FAILED, TRAINED
from lightning_modules.training.tuning import Setting
from tests.broken_losses import Raising
from tests.compare.compare_helpers import FAST, SLOW, builder_of, full_training, small_data

OVERFITTING = Setting(0.1, 0.0)


class Recorder(pl.Callback):
    """Remembers how a training went."""

    def __init__(self) -> None:
        self.weights: dict[str, Tensor] = {}
        self.noise = torch.empty(0)
        self.batches: list[Tensor] = []
        self.groups: list[tuple[float, float]] = []
        self.metrics: list[dict[str, float]] = []

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.weights = copy.deepcopy(pl_module.state_dict())
        self.noise = torch.tensor([float(torch.rand(())), np.random.random(), random.random()])  # noqa: NPY002

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self.batches.append(torch.stack([batch.user, batch.item]))
        self.groups += [(group["lr"], group["weight_decay"]) for group in trainer.optimizers[0].param_groups]

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.metrics.append({name: float(value) for name, value in trainer.callback_metrics.items()})


class InfiniteFrom(Loss):
    """Becomes infinite at a step; its gradients stay finite."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.step = step
        self.calls = 0

    def forward(self, prediction: Tensor, label: Tensor) -> Tensor:
        self.calls += 1
        return (prediction - label) ** 2 + (math.inf if self.calls >= self.step else 0.0)


class NotANumber(Loss):
    def forward(self, prediction: Tensor, label: Tensor) -> Tensor:
        return prediction * math.nan


@pytest.fixture
def interruptible() -> Iterator[None]:
    handler = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, handler)


def recorder(training: TrainingRun) -> Recorder:
    assert training.trainer is not None
    return next(each for each in training.trainer.callbacks if isinstance(each, Recorder))  # type: ignore[attr-defined]


def recorded(loss: Loss, seed: int = 0, setting: Setting = FAST, **options: Any) -> tuple[TrainingRun, Recorder]:
    training = full_training(**options, callbacks=[Recorder()]).train(loss, seed, setting)
    return training, recorder(training)


def same_weights(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


@pytest.mark.parametrize("patience", [1, 3])
def test_it_stops_patience_validations_after_the_best_one(patience: int) -> None:
    training, record = recorded(BCE(), setting=OVERFITTING, max_epochs=40, patience=patience)
    aucs = [each["val/auc"] for each in record.metrics]
    assert training.status == TRAINED
    assert training.epoch == 1 + aucs.index(max(aucs))
    assert training.epochs == len(aucs) == training.epoch + patience < 40
    assert training.converged
    assert training.score == max(aucs)
    assert training.metrics == {k: v for k, v in record.metrics[training.epoch - 1].items() if k.startswith("val/")}


def test_less_is_better_in_mode_min() -> None:
    training, record = recorded(
        BCE(), setting=OVERFITTING, max_epochs=40, patience=2, monitor="val/log_loss", mode="min"
    )
    losses = [each["val/log_loss"] for each in record.metrics]
    assert training.score == -min(losses)
    assert training.epoch == 1 + losses.index(min(losses))
    assert training.epochs == training.epoch + 2


def test_the_model_has_the_weights_of_its_best_epoch() -> None:
    data = small_data()
    training = full_training(data, max_epochs=40, patience=4).train(BCE(), 0, OVERFITTING)
    rows = data.rows["validation"]
    assert training.model is not None
    with torch.no_grad():
        logit = training.model(rows.user, rows.item)
    assert training.epoch < training.epochs
    assert roc_auc_score(rows.label, logit) == pytest.approx(training.score, abs=1e-6)
    assert len({round(each["val/auc"], 4) for each in full_history(data)[training.epoch - 1 :]}) > 1


def full_history(data: Any) -> list[dict[str, float]]:
    training = full_training(data, max_epochs=40, patience=4, callbacks=[Recorder()]).train(BCE(), 0, OVERFITTING)
    return recorder(training).metrics


def test_a_training_that_the_last_epoch_ends_has_not_converged() -> None:
    training = full_training(max_epochs=2, patience=3).train(BCE(), 0, SLOW)
    assert (training.status, training.epochs, training.converged) == (TRAINED, 2, False)


def test_the_same_seed_and_setting_give_the_same_result() -> None:
    first, again, other = (full_training().train(BCE(), seed, FAST) for seed in (5, 5, 6))
    assert first.model is not None
    assert again.model is not None
    assert first.metrics == again.metrics != other.metrics
    assert same_weights(first.model.state_dict(), again.model.state_dict())


def test_torchs_own_randomness_neither_matters_nor_changes() -> None:
    train = full_training()
    first = train.train(BCE(), 5, FAST)
    torch.rand(17)
    before = torch.get_rng_state()
    assert train.train(BCE(), 5, FAST).metrics == first.metrics
    assert torch.equal(torch.get_rng_state(), before)


def test_the_same_seed_gives_every_loss_the_same_start_and_the_same_batches() -> None:
    (_, left), (_, right), (_, other) = recorded(BCE(), 5), recorded(MSE(), 5), recorded(BCE(), 6)
    assert same_weights(left.weights, right.weights)
    assert torch.equal(torch.cat(left.batches, 1), torch.cat(right.batches, 1))
    assert torch.equal(left.noise, right.noise)
    assert not (left.noise == other.noise).any()
    assert not same_weights(left.weights, other.weights)
    assert not torch.equal(torch.cat(left.batches, 1), torch.cat(other.batches, 1))


def test_batches_and_noise_do_not_depend_on_the_size_of_the_model() -> None:
    data = small_data()
    (_, small), (_, large) = (recorded(BCE(), 5, data=data, build=builder_of(data, size)) for size in (2, 9))
    assert small.weights["user_embedding.weight"].shape != large.weights["user_embedding.weight"].shape
    assert torch.equal(torch.cat(small.batches, 1), torch.cat(large.batches, 1))
    assert torch.equal(small.noise, large.noise)


def test_the_setting_reaches_the_optimizer_before_the_first_step() -> None:
    _, record = recorded(BCE(), setting=Setting(0.0375, 0.25), max_epochs=1)
    assert set(record.groups) == {(0.0375, 0.25)}


def test_learning_rate_and_weight_decay_both_matter() -> None:
    settings = [Setting(0.02, 0.0), Setting(0.002, 0.0), Setting(0.02, 0.5)]
    assert len({full_training().train(BCE(), 0, setting).metrics["val/log_loss"] for setting in settings}) == 3


@pytest.mark.parametrize("loss", [InfiniteFrom(1), InfiniteFrom(15), NotANumber()], ids=["first", "later", "nan"])
def test_a_loss_that_is_not_finite_has_diverged(loss: Loss) -> None:
    training = full_training().train(loss, 0, FAST)
    assert (training.status, training.score, training.error) == (DIVERGED, -math.inf, "")


def test_a_loss_that_raises_has_failed_with_its_error() -> None:
    training = full_training().train(Raising(ValueError("boom")), 0, FAST)
    assert (training.status, training.score, training.error) == (FAILED, -math.inf, "ValueError: boom")
    assert training.model is None
    assert training.seconds > 0


def test_an_unknown_metric_is_a_failure_that_names_it() -> None:
    training = full_training(monitor="val/ndcg").train(BCE(), 0, FAST)
    assert training.status == FAILED
    assert "val/ndcg" in training.error


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_passes_through() -> None:
    with pytest.raises(KeyboardInterrupt):
        full_training().train(Raising(KeyboardInterrupt()), 0, FAST)


def test_of_the_recipes_callbacks_stopping_and_checkpoints_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    own = Recorder()
    recipe = [own, EarlyStopping("val/auc", patience=77), ModelCheckpoint(dirpath=tmp_path / "kept")]
    training = full_training(callbacks=recipe, patience=9).train(BCE(), 0, FAST)
    assert training.trainer is not None
    callbacks = training.trainer.callbacks  # type: ignore[attr-defined]
    assert recorder(training) is not own
    assert [each.patience for each in callbacks if isinstance(each, EarlyStopping)] == [9]
    assert not [each for each in callbacks if isinstance(each, Checkpoint)]
    assert own.batches == []
    assert list(tmp_path.iterdir()) == []


def test_measuring_gives_the_metrics_of_the_best_weights_on_the_test_rows() -> None:
    data = small_data()
    train = full_training(data, max_epochs=40, patience=2)
    training = train.train(BCE(), 0, OVERFITTING)
    measured = train.measure(training)
    rows = data.rows["test"]
    assert training.model is not None
    with torch.no_grad():
        logit = training.model(rows.user, rows.item)
    assert measured.metrics["test/auc"] == pytest.approx(roc_auc_score(rows.label, logit), abs=1e-6)
    assert torch.allclose(measured.test.score, logit)
    assert roc_auc_score(*measured.validation[1::-1]) == pytest.approx(training.score, abs=1e-6)
