"""Curves of losses for TensorBoard and reports."""

import math
import statistics
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lightning_modules.losses import BCE, Loss, LossObject, SampledSoftmax
from lightning_modules.losses.score_curves import LossCurve, score_curve
from lightning_modules.utilities.figure_style import BLUE, GREEN, GUIDE, ORANGE, styled

_POINTS = 400
# Of the values of a curve; what lies beyond is near a pole.
_SHOWN_SHARES = (0.03, 0.97)
_COLOURS = (ORANGE, BLUE, GREEN)
# Below it lies most of BCE's curve.
_HIGHEST_SHOWN = 5.0


@dataclass(frozen=True)
class CurveKind:
    """The curves that losses of one kind are drawn by.

    Attributes:
        lines: What computes a loss's curve, by its name in the legend.
        over: What is on the horizontal axis.
        derivative: What the derivative is, in words.
        limits: The ends of the horizontal axis.
        usual: The loss that others are drawn beside.
    """

    lines: Mapping[str, Callable[[Any], LossCurve]]
    over: str
    derivative: str
    limits: tuple[float, float]
    usual: LossObject


def curves_of(loss: LossObject) -> CurveKind:
    """Return the curves that a loss is drawn by: over the prediction for both labels, or over the gap."""
    return _OF_SCORES if loss.wants == "scores" else _OF_PREDICTION


@styled
def loss_figure(loss: LossObject, title: str) -> Figure:
    """Draw a loss and its derivative: by the predicted probability for labels 0 and 1, or by the gap to a negative.

    The usual loss of its kind is drawn beside it, dashed. What is far larger than both are leaves the picture.

    Args:
        loss: Any pointwise loss, one that wants logits is drawn over the probability too; or one of scores, which is
            drawn for rows of 1, 8 and 64 negatives, one of which moves.
        title: The title, cut after four lines.
    """
    # TensorBoard shows figures in tiles of about 350 pixels, too narrow for two panels side by side.
    figure = Figure(figsize=(4.2, 5.8))
    # A tight layout, which measures every tick label, takes three quarters of the time.
    figure.subplots_adjust(left=0.17, right=0.96, bottom=0.18, top=0.86, hspace=0.1)
    value_axes, gradient_axes = figure.subplots(2, 1, sharex=True)
    kind = curves_of(loss)
    own = {name: curve_of(loss) for name, curve_of in kind.lines.items()}
    usual = (
        {}
        if loss.identity == kind.usual.identity
        else {name: curve_of(kind.usual) for name, curve_of in kind.lines.items()}
    )
    for curves, prefix, style in ((own, "", "-"), (usual, f"{kind.usual.title}, ", "--")):
        for (name, curve), colour in zip(curves.items(), _COLOURS, strict=False):
            look = {"color": colour, "linestyle": style, "linewidth": 1 + (style == "-"), "label": f"{prefix}{name}"}
            value_axes.plot(curve.at, curve.value, **look)
            gradient_axes.plot(curve.at, curve.gradient, **look)
    every = [*own.values(), *usual.values()]
    value_axes.set(ylabel="value of the loss", ylim=_window([curve.value for curve in every]))
    gradient_axes.set(ylabel=kind.derivative, xlabel=kind.over, ylim=_window([curve.gradient for curve in every]))
    gradient_axes.axhline(0, color=GUIDE, linewidth=0.8)
    figure.legend(*value_axes.get_legend_handles_labels(), loc="lower center", ncols=2)
    figure.suptitle("\n".join(textwrap.wrap(title, 50, max_lines=4, placeholder=" ...")))
    return figure


def _window(curves: Sequence[Sequence[float]]) -> tuple[float, float]:
    """Return the range of an axis, without the poles of curves, which would flatten everything else."""
    ends = [np.nanquantile([each for each in curve if math.isfinite(each)] or [0.0], _SHOWN_SHARES) for curve in curves]
    low, high = min(end[0] for end in ends), max(end[1] for end in ends)
    room = 0.05 * (high - low) or 1.0
    return low - room, high + room


def drawn(figure: Figure) -> NDArray[np.uint8]:
    """Return a figure as an image, of shape [height, width, 3]."""
    canvas = FigureCanvasAgg(figure)
    # matplotlib gives these no types.
    canvas.draw()  # type: ignore[no-untyped-call]
    return np.array(canvas.buffer_rgba(), dtype=np.uint8)[..., :3]  # type: ignore[no-untyped-call]


def draw_beside_usual(axes: Axes, name: str, loss: LossObject) -> None:
    """Draw a loss by the curves of its kind, and dashed the usual loss of that kind.

    An offset does not change training, nor does the scale with optimizers such as Adam. So every curve starts at 0 at
    its minimum and is scaled to the median slope of the usual loss.

    Args:
        axes: The axes to draw on.
        name: The loss's name in the legend.
        loss: The loss.
    """
    kind = curves_of(loss)
    losses = {name: loss, kind.usual.title: kind.usual}
    curves = {title: [curve_of(each) for curve_of in kind.lines.values()] for title, each in losses.items()}
    slopes = {title: _median_slope([curve.gradient for curve in each]) for title, each in curves.items()}
    *_, usual = slopes.values()
    for place, (title, each) in enumerate(curves.items()):
        for line, colour, curve in zip(kind.lines, _COLOURS, each, strict=False):
            height = (np.array(curve.value) - _least(curve.value)) * usual / slopes[title]
            style = "--" if place else "-"
            axes.plot(curve.at, height, style, color=colour, linewidth=2 - place, label=f"{title}, {line}")
    axes.set(xlim=kind.limits, ylim=(-0.02 * _HIGHEST_SHOWN, _HIGHEST_SHOWN), xlabel=kind.over)
    axes.set_ylabel(f"loss less its least value,\nscaled to the slope of {kind.usual.title}")


def _median_slope(gradients: list[list[float]]) -> float:
    slopes = [abs(each) for gradient in gradients for each in gradient if each and math.isfinite(each)]
    return statistics.median(slopes) if slopes else 1.0


def _least(value: list[float]) -> float:
    return min((each for each in value if math.isfinite(each)), default=0.0)


def _prediction_curve(loss: Loss, label: float) -> LossCurve:
    probability = torch.linspace(0.005, 0.995, _POINTS, dtype=torch.float64).requires_grad_()
    value = loss.from_logit(torch.logit(probability), torch.full_like(probability, label))
    (gradient,) = torch.autograd.grad(value.sum(), probability)
    return LossCurve(probability.tolist(), value.tolist(), gradient.tolist())


_OF_PREDICTION = CurveKind(
    lines={f"label {label}": partial(_prediction_curve, label=float(label)) for label in (0, 1)},
    over="predicted probability",
    derivative="derivative by the prediction",
    limits=(0, 1),
    usual=BCE(),
)
_OF_SCORES = CurveKind(
    lines={
        "1 negative": partial(score_curve, negatives=1),
        "8 negatives": partial(score_curve, negatives=8),
        "64 negatives": partial(score_curve, negatives=64),
    },
    over="gap of one negative: its score less the positive's",
    derivative="derivative by the gap",
    limits=(-1.5, 1.5),
    usual=SampledSoftmax(),
)
