from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger
from scipy.stats import binomtest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor

from callbacks import CalibrationFigure
from callbacks.calibration import calibration_figure
from tests.trainer_helpers import quiet_trainer

pytestmark = pytest.mark.draws


class Curve(NamedTuple):
    predicted: Tensor
    observed: Tensor
    rows: Tensor


CURVE = Curve(torch.tensor([0.1, 0.2, 0.6]), torch.tensor([0.0, 0.3, 0.5]), torch.tensor([10, 10, 40]))


class Metrics:
    """Stands for the metrics of a model."""

    def __init__(self, curves: dict[str, Curve]) -> None:
        self.curves = curves
        self.asked: list[int] = []

    def calibration_curves(self, bins: int) -> dict[str, Curve]:
        self.asked.append(bins)
        return self.curves


class Model(pl.LightningModule):
    def __init__(self, metrics: Any) -> None:
        super().__init__()
        self.metrics = metrics
        self.layer = torch.nn.Linear(1, 1)

    def training_step(self, batch: Tensor) -> Tensor:
        return self.layer(batch).mean()

    def validation_step(self, batch: Tensor) -> None:
        pass

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(metrics: Any, logger: Any, bins: int = 20) -> None:
    trainer = quiet_trainer(
        logger=logger, callbacks=[CalibrationFigure(bins)], max_epochs=2, log_every_n_steps=1, num_sanity_val_steps=2
    )
    loader = torch.utils.data.DataLoader(torch.ones(2, 1), batch_size=1)
    trainer.fit(Model(metrics), loader, loader)


def test_every_validation_draws_a_picture_of_every_task(tmp_path: Path) -> None:
    metrics = Metrics({"click": CURVE, "long_view": CURVE})
    fit(metrics, TensorBoardLogger(tmp_path, name="", version=""), bins=7)
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert sorted(events.Tags()["images"]) == ["val/calibration_curve/click", "val/calibration_curve/long_view"]
    assert [image.step for image in events.Images("val/calibration_curve/click")] == [2, 4]
    assert metrics.asked == [7, 7]  # and not in the sanity check


def test_without_tensorboard_nothing_is_computed(tmp_path: Path) -> None:
    metrics = Metrics({"click": CURVE})
    fit(metrics, CSVLogger(tmp_path))
    assert metrics.asked == []


def test_predictions_that_are_not_finite_end_no_training(tmp_path: Path) -> None:
    broken = CURVE._replace(predicted=torch.tensor([0.1, 0.2, torch.nan]))
    fit(Metrics({"click": broken, "long_view": CURVE}), TensorBoardLogger(tmp_path, name="", version=""))
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert events.Tags()["images"] == ["val/calibration_curve/long_view"]


def test_a_model_without_curves_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Model has no metrics with calibration curves"):
        fit(None, False)


def test_no_bins_are_refused() -> None:
    with pytest.raises(ValueError, match="bins=0"):
        CalibrationFigure(0)


def test_the_figure_holds_the_points_their_intervals_and_the_means() -> None:
    figure = calibration_figure(CURVE, "click")
    (axes,) = figure.axes
    diagonal, points = axes.lines
    np.testing.assert_array_equal(diagonal.get_xdata(), diagonal.get_ydata())
    np.testing.assert_allclose(points.get_xydata(), np.column_stack([CURVE.predicted, CURVE.observed]), atol=1e-7)
    (intervals,) = axes.collections
    for segment, successes, rows in zip(intervals.get_segments(), (0, 3, 20), (10, 10, 40), strict=True):
        expected = binomtest(successes, rows).proportion_ci(method="wilson")
        np.testing.assert_allclose(segment[:, 1], [expected.low, expected.high], atol=1e-4)
    assert figure.get_suptitle() == "click\npredicted 0.45, observed 0.383"
    assert axes.get_xlim()[1] >= 0.6
