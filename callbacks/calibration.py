"""Calibration curves (reliability diagrams) of every task."""
# ruff: noqa: ARG002  (Lightning gives the hooks their arguments)

from collections.abc import Mapping
from typing import Any, Protocol

import pytorch_lightning as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities import rank_zero_only
from torch import Tensor

from lightning_modules.utilities.figure_style import BLUE, GUIDE, styled


class Curve(Protocol):
    """Mean predictions, shares of label 1 and numbers of rows in bins, each of shape [bins]."""

    @property
    def predicted(self) -> Tensor: ...  # noqa: D102
    @property
    def observed(self) -> Tensor: ...  # noqa: D102
    @property
    def rows(self) -> Tensor: ...  # noqa: D102


class CalibrationFigure(pl.Callback):
    """Shows the calibration of every task in TensorBoard, as ``val/calibration_curve/click``, after every validation.

    The model's ``metrics`` have a method ``calibration_curves(bins)`` that returns a curve for each task, over the
    rows of all processes. Without a TensorBoard logger nothing is drawn.

    Args:
        bins: Number of quantile bins of the predictions, at least 1.

    Raises:
        ValueError: If ``bins`` is below 1; when training or validation starts, if the model has no such metrics.
    """

    def __init__(self, bins: int = 20) -> None:
        if bins < 1:
            raise ValueError(f"a calibration figure needs at least one bin, got bins={bins}")
        self.bins = bins

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Refuse a model without calibration curves."""
        if stage in ("fit", "validate") and not hasattr(_metrics(pl_module), "calibration_curves"):
            raise ValueError(
                f"{type(pl_module).__name__} has no metrics with calibration curves; "
                "use CalibrationFigure with a multi-task model, or leave it out"
            )

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw, before the model forgets the rows of this validation."""
        loggers = [logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]
        if trainer.sanity_checking or not loggers:
            return
        curves = _metrics(pl_module).calibration_curves(self.bins)
        for logger in loggers:
            _draw(logger, curves, trainer.global_step)


@styled
def calibration_figure(curve: Curve, title: str) -> Figure:
    """Draw observed against predicted probabilities, with a 95 % interval (Wilson) of what was observed.

    Args:
        curve: The curve of one task.
        title: Written above, with the mean prediction and observation over all rows.
    """
    rows, predicted, observed = (each.double().cpu() for each in (curve.rows, curve.predicted, curve.observed))
    figure = Figure(figsize=(5, 5.2))
    figure.subplots_adjust(left=0.17, right=0.96, bottom=0.13, top=0.84)
    _draw_shares(figure.subplots(), predicted, observed, rows)
    means = [float((values * rows).sum() / rows.sum()) for values in (predicted, observed)]
    figure.suptitle(f"{title}\npredicted {means[0]:.3g}, observed {means[1]:.3g}", fontsize=14)
    return figure


def _draw_shares(axes: Axes, predicted: Tensor, observed: Tensor, rows: Tensor) -> None:
    low, high = _wilson_interval(observed, rows)
    limit = 1.05 * float(max(predicted.max(), high.max()))
    axes.plot([0, limit], [0, limit], color=GUIDE, linewidth=1)
    axes.vlines(predicted, low, high, color=BLUE, alpha=0.5, linewidth=2)
    axes.plot(predicted, observed, "o", color=BLUE, markersize=5, clip_on=False)
    axes.set(xlim=(0, limit), ylim=(0, limit), aspect="equal")
    axes.set_xlabel("predicted probability", fontsize=13)
    axes.set_ylabel("share observed", fontsize=13)
    axes.tick_params(labelsize=12)
    axes.locator_params(nbins=5)


def _wilson_interval(share: Tensor, rows: Tensor, z: float = 1.96) -> tuple[Tensor, Tensor]:
    """Return the bounds of a share's 95 % confidence interval.

    Wilson, Probable Inference, the Law of Succession, and Statistical Inference, Journal of the American Statistical
    Association 1927, https://doi.org/10.1080/01621459.1927.10502953
    """
    centre = (share + z**2 / (2 * rows)) / (1 + z**2 / rows)
    half = z / (1 + z**2 / rows) * (share * (1 - share) / rows + z**2 / (4 * rows**2)).sqrt()
    return (centre - half).clamp(min=0), (centre + half).clamp(max=1)


@rank_zero_only
def _draw(logger: TensorBoardLogger, curves: Mapping[str, Curve], step: int) -> None:
    # A prediction that is not finite has no place in a picture, and the logged metrics tell of it.
    finite = {task: curve for task, curve in curves.items() if curve.predicted.isfinite().all()}
    for task, curve in finite.items():
        # TensorBoard shows one kind of data a tag, and the metric is logged as val/calibration/<task>.
        logger.experiment.add_figure(f"val/calibration_curve/{task}", calibration_figure(curve, task), step)


def _metrics(module: pl.LightningModule) -> Any:
    return getattr(module, "metrics", None)
