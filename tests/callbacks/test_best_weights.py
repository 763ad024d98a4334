import math
from typing import Any, Literal

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from callbacks.best_weights import BestWeights


class Counting(pl.LightningModule):
    """Its only weight is the number of the epoch, counted from 1; logs prescribed metrics."""

    def __init__(self, metrics: list[float]) -> None:
        super().__init__()
        self.metrics = metrics
        self.weight = nn.Parameter(torch.zeros(()))

    def training_step(self, batch: Any) -> Tensor:
        return -self.weight

    def validation_step(self, batch: Any) -> None:
        # The sanity check runs before there is any training.
        epoch = round(float(self.weight.detach()))
        self.log("val/auc", self.metrics[epoch - 1] if epoch else 1e9)
        self.log("val/other", float(epoch))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=1.0)


def fitted(metrics: list[float], mode: Literal["max", "min"] = "max", **options: Any) -> BestWeights:
    best = BestWeights("val/auc", mode)
    quiet: dict[str, Any] = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    quiet |= {"accelerator": "cpu", "enable_checkpointing": False, "max_epochs": len(metrics), "callbacks": [best]}
    one: Any = torch.utils.data.DataLoader([0])  # type: ignore[arg-type]
    pl.Trainer(**{**quiet, **options}).fit(Counting(metrics), one, one)
    return best


@pytest.mark.parametrize(
    ("metrics", "mode", "epoch", "score"),
    [
        ([0.5, 0.75, 0.25], "max", 2, 0.75),
        ([0.5, 0.75, 0.25], "min", 3, -0.25),
        ([0.5, 0.5], "max", 1, 0.5),
        ([math.nan, 0.25, math.nan], "max", 2, 0.25),
        ([-4.0, -8.0], "max", 1, -4.0),
    ],
    ids=["max", "min", "tie", "nan", "negative"],
)
def test_the_weights_and_metrics_of_the_best_epoch_are_kept(
    metrics: list[float], mode: Literal["max", "min"], epoch: int, score: float
) -> None:
    best = fitted(metrics, mode)
    assert (best.epoch, best.score) == (epoch, score)
    assert best.weights["weight"] == epoch
    assert best.metrics["val/auc"] == metrics[epoch - 1]
    assert best.metrics["val/other"] == epoch


def test_the_sanity_check_is_no_epoch() -> None:
    assert fitted([0.5], num_sanity_val_steps=1).score == 0.5


def test_a_metric_that_is_never_a_number_leaves_nothing() -> None:
    best = fitted([math.nan, math.nan])
    assert (best.epoch, best.score, best.metrics, best.weights) == (0, -math.inf, {}, {})


def test_a_metric_that_is_not_logged_leaves_nothing() -> None:
    best = BestWeights("val/ndcg")
    fitted([0.5], callbacks=[best])
    assert (best.epoch, best.score, best.weights) == (0, -math.inf, {})


class Asking(pl.Callback):
    """Notes after every validation what another callback says of it."""

    def __init__(self, best: BestWeights) -> None:
        self.best = best
        self.answers: list[bool] = []

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.answers.append(self.best.latest_is_best)


@pytest.mark.parametrize(
    ("metrics", "mode", "answers"),
    [
        ([0.5, 0.25, 0.75, 0.75], "max", [True, False, True, False]),
        ([0.5, 0.25, 0.75, 0.125], "min", [True, True, False, True]),
        ([math.nan, 0.25, math.nan], "max", [False, True, False]),
    ],
)
def test_callbacks_that_come_after_learn_whether_the_latest_validation_is_the_best(
    metrics: list[float], mode: Literal["max", "min"], answers: list[bool]
) -> None:
    best = BestWeights("val/auc", mode)
    asking = Asking(best)
    fitted(metrics, callbacks=[best, asking], num_sanity_val_steps=0)
    assert asking.answers == answers


@pytest.mark.parametrize("monitor", ["val/auc", "val/ndcg"])
def test_neither_the_sanity_check_nor_a_validation_without_the_metric_is_the_best(monitor: str) -> None:
    best = BestWeights(monitor)
    asking = Asking(best)
    fitted([0.5], callbacks=[best, asking], num_sanity_val_steps=1)
    assert asking.answers == [False, monitor == "val/auc"]


def test_epochs_without_a_validation_are_counted_too() -> None:
    best = fitted([0.25, 0.375, 0.5, 0.75], check_val_every_n_epoch=2)
    assert (best.epoch, best.score) == (4, 0.75)
