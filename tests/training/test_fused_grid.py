"""Settings that are trained at once end as each would on its own."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_modules.losses import BCE, MSE, Focal, Loss
from lightning_modules.training.full_training import FullTraining, TrainingRun
from lightning_modules.training.fused_grid import FusedGridTrainer
from lightning_modules.training.statuses import DIVERGED, FAILED, TRAINED
from lightning_modules.training.tuning import Setting
from tests.broken_losses import Raising
from tests.compare.compare_helpers import FAST, SLOW, full_training

pytest.importorskip("numba")

SETTINGS = (FAST, SLOW, Setting(0.1, 0.0), Setting(0.05, 1e-3))


class OnlyAtOnce(FullTraining):
    """Fails where one setting is trained after the other."""

    def train(self, loss: Loss, seed: int, setting: Setting) -> TrainingRun:
        raise AssertionError("trained on its own")


def at_once(**options: Any) -> FullTraining:
    training = full_training(fused=True, max_epochs=30, **options)
    training.__class__ = OnlyAtOnce
    return training


def ends(run: TrainingRun) -> tuple[Any, ...]:
    return run.status, run.score, run.epoch, run.epochs, run.converged, run.error


def weights(run: TrainingRun) -> list[Tensor]:
    assert run.model is not None
    return [*run.model.state_dict().values()]


@pytest.mark.parametrize("mode", ["max", "min"])
@pytest.mark.parametrize("population", [3, 8])
@pytest.mark.parametrize("options", [{}, {"gradient_clip_val": 1.0}], ids=["plain", "clipped"])
def test_each_setting_ends_as_on_its_own(mode: str, population: int, options: dict[str, Any]) -> None:
    monitor = "val/auc" if mode == "max" else "val/log_loss"
    options = {**options, "monitor": monitor, "mode": mode, "patience": 2}
    together = at_once(population=population, **options).train_all([BCE()] * 3, 3, SETTINGS[:3])
    alone = [full_training(fused=True, max_epochs=30, **options).train(BCE(), 3, each) for each in SETTINGS[:3]]
    # Logits are summed by the kernel or by torch, in an order of the processor's.
    assert [*map(ends, together)] == [
        (*each[:1], pytest.approx(each[1], rel=1e-6), *each[2:]) for each in map(ends, alone)
    ]
    assert all(run.status == TRAINED for run in alone)
    assert len({run.epoch for run in alone}) > 1
    for one, other in zip(together, alone, strict=True):
        assert all(torch.equal(*pair) for pair in zip(weights(one), weights(other), strict=True))
        assert one.metrics == pytest.approx({monitor: other.metrics[monitor]}, rel=1e-6)


def test_each_loss_ends_as_on_its_own() -> None:
    losses = [BCE(), Focal(), MSE(), Raising(ValueError("boom"))]
    settings = [FAST, SLOW, FAST, FAST]
    together = full_training(fused=True, max_epochs=30, population=4, patience=2).train_all(losses, 3, settings)
    single = full_training(fused=True, max_epochs=30, patience=2)
    alone = [single.train(loss, 3, setting) for loss, setting in zip(losses, settings, strict=True)]
    assert [*map(ends, together)] == [*map(ends, alone)]
    assert [run.status for run in alone] == [TRAINED, TRAINED, TRAINED, FAILED]
    for one, other, loss in zip(together[:3], alone, losses, strict=False):
        assert all(torch.equal(*pair) for pair in zip(weights(one), weights(other), strict=True))
        assert one.trainer is None
        assert one.model is not None
        assert one.model.loss is loss


@pytest.mark.parametrize("every", [2, 4])
def test_each_setting_says_its_epochs_where_not_every_one_is_validated(every: int) -> None:
    settings = (FAST, SLOW, Setting(0.1, 0.0))
    options = {"max_epochs": 9, "check_val_every_n_epoch": every, "patience": 1, "fused": True}
    together = full_training(population=3, **options).train_all([BCE()] * 3, 3, settings)
    alone = [full_training(**options).train(BCE(), 3, each) for each in settings]
    assert [(run.epoch, run.epochs, run.converged) for run in together] == [
        (run.epoch, run.epochs, run.converged) for run in alone
    ]
    assert {run.converged for run in alone} == {True, False}
    assert len({run.epochs for run in alone}) > 1


def test_settings_are_trained_at_once_where_kernels_match_alone() -> None:
    assert full_training(fused=True, population=8).most_at_once == 8
    assert full_training(fused=False, population=8).most_at_once == 1
    assert full_training(fused=True, population=8, precision="64-true").most_at_once == 1


def test_an_error_of_the_stack_is_said_and_each_is_trained_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def failing(*_: Any) -> None:
        raise MemoryError("no room")

    training = full_training(fused=True, population=2)
    monkeypatch.setattr(FusedGridTrainer, "fit", failing)
    runs = training.train_all([BCE()] * 2, 0, SETTINGS[:2])
    assert [run.status for run in runs] == [TRAINED, TRAINED]
    assert "MemoryError('no room')" in caplog.text


def test_options_of_the_loss_are_settings_too() -> None:
    settings = [Setting(0.02, 0.0, (("gamma", gamma),)) for gamma in (0.5, 4.0)]
    runs = at_once(population=2, patience=3).train_all([Focal()] * 2, 0, settings)
    alone = [full_training(fused=True, max_epochs=30, patience=3).train(Focal(), 0, each) for each in settings]
    assert [*map(ends, runs)] == [*map(ends, alone)]
    assert [run.model.loss.gamma for run in runs if run.model is not None] == [0.5, 4.0]
    assert not torch.equal(weights(runs[0])[0], weights(runs[1])[0])


def test_the_random_state_is_left_as_it_was() -> None:
    before = torch.get_rng_state()
    at_once(population=2, patience=1).train_all([BCE()] * 2, 0, SETTINGS[:2])
    assert torch.equal(torch.get_rng_state(), before)


class InfiniteBelow(Loss):
    """Has a derivative that is not finite for small predictions."""

    def forward(self, prediction: Tensor, label: Tensor) -> Tensor:
        return (prediction - label) ** 2 / (prediction.detach() > 0.3).float()


@pytest.mark.parametrize("every", [1, 2])
def test_a_setting_that_diverges_leaves_the_others_alone(every: int) -> None:
    settings, options = [Setting(1e-7, 0.0), Setting(1.0, 0.0)], {"patience": 2, "check_val_every_n_epoch": every}
    runs = at_once(population=2, **options).train_all([InfiniteBelow()] * 2, 0, settings)
    assert [run.status for run in runs] == [TRAINED, DIVERGED]
    assert runs[1].score == -math.inf
    alone = full_training(fused=True, max_epochs=30, **options).train(InfiniteBelow(), 0, settings[1])
    assert runs[1].epochs == alone.epochs


def test_what_kernels_cannot_train_is_trained_one_by_one() -> None:
    runs = full_training(fused=True, population=2, precision="64-true").train_all([BCE()] * 2, 0, SETTINGS[:2])
    assert [run.status for run in runs] == [TRAINED, TRAINED]
    assert all(run.trainer is not None for run in runs)
    broken = full_training(fused=True, population=2).train_all([Raising(ValueError("boom"))] * 2, 0, SETTINGS[:2])
    assert [run.status for run in broken] == [FAILED, FAILED]


def test_an_interrupt_is_no_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(FusedGridTrainer, "fit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        at_once(population=2).train_all([BCE()] * 2, 0, SETTINGS[:2])
