"""Trainings by compiled kernels against those in Lightning's steps."""

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint, Timer
from torch import Tensor

from datamodules import SyntheticInteractions
from datamodules.batches import Batch
from lightning_modules.compare.command import run_compare
from lightning_modules.compare.settings import CompareSettings
from lightning_modules.losses import BCE, MSE, Focal, FormulaLoss, Loss
from lightning_modules.recommenders import BiasedMF, DeepMF, Recommender
from lightning_modules.training.full_training import FullTraining, TrainingRun
from lightning_modules.training.predictions import load_scores
from lightning_modules.training.statuses import DIVERGED, FAILED, TRAINED
from lightning_modules.training.tuning import Setting
from lightning_modules.utilities import compiled
from tests.broken_losses import Infinite, Raising
from tests.compare.compare_helpers import FAST, RECIPE, builder_of, full_training, small_data
from tests.populations.population_helpers import InfiniteFarAway

OVERFITTING = Setting(0.1, 0.0)
DECAYING = Setting(0.05, 1e-3)
BY_VALUE = {"gradient_clip_val": 1e-3, "gradient_clip_algorithm": "value"}
BY_NORM = {"gradient_clip_val": 1e-2}


def model(optimizer: Any = None, kind: type[Recommender] = BiasedMF, **options: Any) -> Callable[[], Recommender]:
    data = small_data()
    options = {"embedding_dim": 4, "init_std": 0.1, "optimizer": optimizer, **options}
    return partial(kind, data.num_users, data.num_items, **options)


def both(loss: Loss, setting: Setting, **options: Any) -> tuple[TrainingRun, TrainingRun]:
    """Train by kernels, and in Lightning's steps."""
    options = {"max_epochs": 40, "patience": 3, **options}
    return tuple(full_training(fused=fused, **options).train(loss, 3, setting) for fused in (True, False))  # type: ignore[return-value]


def weights(run: TrainingRun) -> dict[str, Tensor]:
    assert run.model is not None
    return run.model.state_dict()


def largest_difference(one: TrainingRun, other: TrainingRun) -> float:
    left, right = weights(one), weights(other)
    assert left.keys() == right.keys()
    return max(float((left[name] - right[name]).abs().max()) for name in left)


@pytest.mark.parametrize(
    ("loss", "optimizer", "setting", "options"),
    [
        (BCE(), None, OVERFITTING, {}),
        (MSE(), None, DECAYING, BY_VALUE),
        (Focal(), torch.optim.AdamW, Setting(0.05, 0.3), BY_NORM),
        (FormulaLoss("exp((label - pred)**2)"), torch.optim.Adagrad, DECAYING, {}),
        (BCE(), torch.optim.SGD, Setting(2.0, 0.01), {"monitor": "val/log_loss", "mode": "min"}),
        (BCE(), None, OVERFITTING, {"check_val_every_n_epoch": 2}),
        (BCE(), None, Setting(0.002, 0.0), {"max_epochs": 2}),
    ],
)
def test_it_ends_where_lightnings_steps_end(
    loss: Loss, optimizer: Any, setting: Setting, options: dict[str, Any]
) -> None:
    fused, separate = both(loss, setting, build=model(optimizer), **options)
    ends = [(run.status, run.epoch, run.epochs, run.converged, run.error) for run in (fused, separate)]
    assert ends[0] == ends[1]
    assert fused.status == TRAINED
    assert fused.score == pytest.approx(separate.score, abs=1e-5)
    assert fused.metrics == pytest.approx(dict(separate.metrics), abs=1e-4)
    assert 0 < largest_difference(fused, separate) < 1e-4
    assert fused.trainer is not None
    assert separate.trainer is not None
    assert fused.trainer.global_step == separate.trainer.global_step > 0


def test_so_it_does_with_layers_and_dropout() -> None:
    deep = model(kind=DeepMF, hidden_features=(8, 4), dropout=0.2)
    fused, separate = both(BCE(), Setting(0.02, 1e-3), build=deep, max_epochs=4, **BY_NORM)
    assert fused.status == TRAINED
    assert fused.metrics == pytest.approx(dict(separate.metrics), abs=1e-3)
    assert 0 < largest_difference(fused, separate) < 1e-3


def test_a_trained_model_is_tested_and_saved_as_any_other(tmp_path: Path) -> None:
    found = []
    for fused in (True, False):
        training = full_training(fused=fused, max_epochs=5)
        run = training.train(BCE(), 0, FAST)
        measured = training.measure(run)
        assert run.trainer is not None
        run.trainer.save_checkpoint(tmp_path / "model.ckpt", weights_only=True)
        found.append((measured, torch.load(tmp_path / "model.ckpt", weights_only=True)))
    (ours, our_file), (lightnings, their_file) = found
    assert ours.metrics == pytest.approx(dict(lightnings.metrics), abs=1e-4)
    assert torch.allclose(ours.test.score, lightnings.test.score, atol=1e-4)
    assert torch.allclose(ours.validation.score, lightnings.validation.score, atol=1e-4)
    assert our_file.keys() == their_file.keys()
    for name in ("epoch", "global_step", "hyper_parameters"):
        assert our_file[name] == their_file[name]
    assert our_file["state_dict"].keys() == their_file["state_dict"].keys()


def test_learning_rate_and_weight_decay_both_matter() -> None:
    settings = [Setting(0.02, 0.0), Setting(0.002, 0.0), Setting(0.02, 0.5)]
    runs = [full_training(fused=True).train(BCE(), 0, setting) for setting in settings]
    assert len({run.metrics["val/log_loss"] for run in runs}) == 3
    assert float(weights(runs[2])["user_embedding.weight"].norm()) < float(
        weights(runs[0])["user_embedding.weight"].norm()
    )


def test_the_same_seed_and_setting_give_the_same_bits() -> None:
    training = full_training(fused=True, max_epochs=6)
    first, _, again = training.train(BCE(), 5, FAST), training.train(MSE(), 6, DECAYING), training.train(BCE(), 5, FAST)
    assert first.metrics == again.metrics
    assert largest_difference(first, again) == 0


@pytest.mark.parametrize("loss", [Infinite(), InfiniteFarAway()], ids=["first", "later"])
def test_a_loss_that_is_not_finite_has_diverged(loss: Loss) -> None:
    build = model(torch.optim.SGD, init_bias=4.0)
    fused, separate = both(loss, Setting(50.0, 0.0), build=build)
    assert (fused.status, fused.score, fused.error) == (DIVERGED, -math.inf, "")
    assert (separate.status, separate.score) == (DIVERGED, -math.inf)
    assert fused.epochs == separate.epochs


class Twisted(BiasedMF):
    def forward(self, user: Tensor, item: Tensor) -> Tensor:
        return -super().forward(user, item)


class Halving(BiasedMF):
    def on_before_optimizer_step(self, optimizer: Any) -> None:
        for parameter in self.parameters():
            if parameter.grad is not None:
                parameter.grad.mul_(0.5)


class Larger(BiasedMF):
    def __init__(self, *sizes: int, **options: Any) -> None:
        super().__init__(*sizes, **options)
        self.unused = torch.nn.Parameter(torch.zeros(()))


class DeepMFWithTanh(DeepMF):
    def __init__(self, *sizes: int, **options: Any) -> None:
        super().__init__(*sizes, **options)
        self.mlp[2] = torch.nn.Tanh()


class Trained(MSE):
    """Has a weight of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(()))

    def forward(self, prediction: Tensor, label: Tensor) -> Tensor:
        return self.scale * super().forward(prediction, label)


class Swapped(SyntheticInteractions):
    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        return batch._replace(label=1 - batch.label)


def swapped() -> SyntheticInteractions:
    return Swapped(num_users=40, num_items=30, num_interactions=800, rank=2, scale=3.0, batch_size=64)


def of_other_labels() -> SyntheticInteractions:
    data = small_data()
    data.setup("fit")
    data.rows["train"] = data.rows["train"]._replace(label=data.rows["train"].label * 0.9)
    return data


@pytest.mark.parametrize(
    ("loss", "options", "reason"),
    [
        (BCE, {"build": model(kind=DeepMFWithTanh)}, "Tanh"),
        (BCE, {"build": model(kind=Twisted)}, "its own forward"),
        (BCE, {"build": model(kind=Halving)}, "its own on_before_optimizer_step"),
        (BCE, {"build": model(kind=Larger)}, "Larger has weights"),
        (Trained, {}, "BiasedMF has weights"),
        (BCE, {"build": model(torch.optim.RMSprop)}, "RMSprop"),
        (BCE, {"build": model(partial(torch.optim.Adam, amsgrad=True))}, "amsgrad=True"),
        (BCE, {"data": swapped()}, "its own on_after_batch_transfer"),
        (BCE, {"data": of_other_labels()}, "labels other than 0 and 1"),
        (BCE, {"limit_train_batches": 3}, "limit_train_batches=3"),
        (BCE, {"min_steps": 30}, "min_steps=30"),
        (BCE, {"accumulate_grad_batches": 2}, "accumulate_grad_batches=2"),
        (BCE, {"precision": "64-true"}, "precision=64-true"),
        (BCE, {"callbacks": [Timer("00:01:00:00")]}, "Timer"),
        (BCE, {"profiler": "simple"}, "profiler"),
    ],
)
def test_what_kernels_cannot_do_is_trained_in_lightnings_steps_and_said_once(
    loss: type[Loss], options: dict[str, Any], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    options = {"max_epochs": 2, **options}
    training, separate = (full_training(fused=fused, **options) for fused in (True, False))
    runs = [training.train(loss(), seed, FAST) for seed in (0, 1)]
    (said,) = caplog.messages
    assert said.startswith("Compiled training is not used: ")
    assert reason in said
    for seed, run in enumerate(runs):
        expected = separate.train(loss(), seed, FAST)
        assert (run.status, run.metrics) == (TRAINED, expected.metrics)
        assert largest_difference(run, expected) == 0


def test_so_it_is_without_numba(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(compiled, "find_spec", lambda _: None)
    fused, separate = both(BCE(), FAST, max_epochs=2)
    assert fused.metrics == separate.metrics
    assert ["numba is not installed" in said for said in caplog.messages] == [True]


def test_what_one_setting_cannot_do_leaves_the_others_alone(caplog: pytest.LogCaptureFixture) -> None:
    # Adam's idle moves have a sum for small shrinkage alone.
    training = full_training(fused=True, build=model(torch.optim.AdamW), max_epochs=2)
    training.train(BCE(), 0, Setting(0.1, 3.0))
    assert len(caplog.messages) == 1
    after = training.train(BCE(), 0, FAST)
    alone = full_training(fused=True, build=model(torch.optim.AdamW), max_epochs=2).train(BCE(), 0, FAST)
    assert largest_difference(after, alone) == 0
    assert len(caplog.messages) == 1


def test_a_loss_that_raises_has_failed_with_its_error() -> None:
    run = full_training(fused=True).train(Raising(ValueError("boom")), 0, FAST)
    assert (run.status, run.score, run.error) == (FAILED, -math.inf, "ValueError: boom")


def test_an_unknown_metric_is_a_failure_that_names_it() -> None:
    run = full_training(fused=True, monitor="val/ndcg").train(BCE(), 0, FAST)
    assert run.status == FAILED
    assert "val/ndcg" in run.error


def test_stopping_and_checkpoints_of_the_recipe_are_left_out(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    recipe: list[pl.Callback] = [EarlyStopping("val/auc", patience=77), ModelCheckpoint(dirpath=tmp_path / "kept")]
    fused, _ = both(BCE(), OVERFITTING, callbacks=recipe, patience=2)
    assert fused.converged
    assert fused.epochs == fused.epoch + 2
    assert caplog.messages == []
    assert list(tmp_path.iterdir()) == []


def compared(root: Path, **options: Any) -> pd.DataFrame:
    data = small_data()
    small = {"learning_rates": [0.02, 0.1], "weight_decays": [0.0, 1e-3], "extensions": 1, "refinements": 1}
    small |= {"losses": [MSE()], "seeds": 2, "patience": 2, "resamples": 50}
    run_compare(
        CompareSettings(root=str(root), **{**small, **options}),  # type: ignore[arg-type]
        model=builder_of(data)(),
        datamodule=data,
        trainer_recipe=RECIPE,
        seed=11,
        save_config=lambda path: None,
    )
    return pd.read_csv(root / "results.csv", index_col=["loss", "seed"]).drop(columns="seconds").sort_index()


def test_a_comparison_that_was_interrupted_ends_with_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = compared(tmp_path / "whole")
    train, calls = FullTraining.train, iter(range(1000))

    def interrupted(self: FullTraining, *arguments: Any) -> TrainingRun:
        if next(calls) == 5:
            raise KeyboardInterrupt
        return train(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(FullTraining, "train", interrupted)
        with pytest.raises(KeyboardInterrupt):
            compared(tmp_path / "parts")
    pd.testing.assert_frame_equal(compared(tmp_path / "parts"), whole, check_exact=True)


def test_a_comparison_goes_on_without_kernels(tmp_path: Path) -> None:
    one_setting = {"learning_rates": [0.05], "weight_decays": [1e-3]}
    roots = tmp_path / "mixed", tmp_path / "separate"
    compared(roots[0], seeds=1, **one_setting)
    mixed, separate = (compared(root, fused=False, **one_setting) for root in roots)
    numbers = ["val_log_loss", "test_auc", "test_log_loss"]
    assert mixed[numbers].to_numpy() == pytest.approx(separate[numbers].to_numpy(), abs=1e-4)
    for seed, same in ((11, False), (12, True)):
        names = separate.xs(seed, level="seed")["predictions"]
        scores = [[load_scores(root / "predictions" / f"{name}.npz", "test") for name in names] for root in roots]
        assert [torch.equal(one, other) for one, other in zip(*scores, strict=True)] == [same, same]
