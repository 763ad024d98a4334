import math
from typing import Any, Literal

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.optim import SGD, Optimizer

from callbacks import RewardCallback
from tests.trainer_helpers import quiet_trainer


class Scripted(pl.LightningModule):
    """Its losses and metrics are given beforehand: ``losses[epoch][step]`` and ``metrics[epoch]``."""

    def __init__(self, losses: list[list[float]], metrics: list[float]) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.losses = losses
        self.scripted_metrics = metrics
        self.epochs_run = 0

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self.weight * 0 + self.losses[self.current_epoch][batch_idx]

    def on_train_epoch_end(self) -> None:
        self.epochs_run += 1

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val/score", torch.tensor(self.scripted_metrics[self.current_epoch]))

    def configure_optimizers(self) -> Optimizer:
        return SGD(self.parameters(), lr=0.0)


def fit(model: Scripted, callback: RewardCallback, **options: Any) -> RewardCallback:
    trainer = quiet_trainer(max_epochs=len(model.losses), callbacks=[callback], **options)
    steps = [torch.zeros(1)] * len(model.losses[0])
    trainer.fit(model, steps, [torch.zeros(1)])
    return callback


@pytest.mark.parametrize(("mode", "reward"), [("max", 0.5), ("min", -0.5)])
def test_reward_is_the_last_validation_metric_with_the_sign_of_the_mode(
    mode: Literal["max", "min"], reward: float
) -> None:
    model = Scripted([[1.0, 1.0], [1.0, 1.0]], metrics=[0.75, 0.5])
    callback = fit(model, RewardCallback("val/score", mode))
    assert (callback.reward, callback.metric, callback.status) == (reward, 0.5, "trained")
    assert isinstance(callback.reward, float)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_stops_at_the_end_of_its_epoch_and_earns_the_floor(bad: float) -> None:
    model = Scripted([[1.0, 1.0], [bad, 1.0], [1.0, 1.0]], metrics=[0.75, 0.5, 0.25])
    callback = fit(model, RewardCallback("val/score", floor=-2.0))
    assert (callback.reward, callback.metric, callback.status) == (-2.0, 0.5, "non-finite")
    assert model.epochs_run == 2


def test_a_loss_that_is_not_finite_before_the_first_validation_earns_the_floor() -> None:
    model = Scripted([[math.nan], [1.0]], metrics=[0.75, 0.5])
    callback = fit(model, RewardCallback("val/score"), check_val_every_n_epoch=2)
    assert (callback.reward, callback.status) == (-1.0, "non-finite")
    assert math.isnan(callback.metric)
    assert model.epochs_run == 1


def test_infinities_of_both_signs_do_not_cancel() -> None:
    callback = fit(Scripted([[math.inf, -math.inf]], metrics=[0.75]), RewardCallback("val/score"))
    assert (callback.reward, callback.status) == (-1.0, "non-finite")


@pytest.mark.parametrize("mode", ["max", "min"])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_metric_that_is_not_finite_earns_the_floor_in_either_mode(mode: Literal["max", "min"], bad: float) -> None:
    callback = fit(Scripted([[1.0]], metrics=[bad]), RewardCallback("val/score", mode))
    assert (callback.reward, callback.status) == (-1.0 if mode == "max" else -math.inf, "non-finite")


@pytest.mark.parametrize("mode", ["max", "min"])
def test_the_floor_is_below_the_reward_of_any_training(mode: Literal["max", "min"]) -> None:
    broken = fit(Scripted([[math.nan]], metrics=[0.5]), RewardCallback("val/score", mode))
    worst = fit(Scripted([[1.0]], metrics=[0.0 if mode == "max" else 1e30]), RewardCallback("val/score", mode))
    assert broken.reward < worst.reward


def test_a_missing_metric_is_an_error_that_names_those_that_there_are() -> None:
    with pytest.raises(ValueError, match="'val/auc' was not logged by Scripted; monitor one of val/score"):
        fit(Scripted([[1.0]], metrics=[0.5]), RewardCallback())


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="'up'"):
        RewardCallback(mode="up")  # type: ignore[arg-type]


def test_a_second_fit_forgets_the_first() -> None:
    callback = fit(Scripted([[math.nan]], metrics=[0.5]), RewardCallback("val/score"))
    fit(Scripted([[1.0]], metrics=[0.75]), callback)
    assert (callback.reward, callback.status) == (0.75, "trained")
