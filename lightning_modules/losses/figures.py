"""CurveKind of losses for TensorBoard and reports."""

import math
import statistics
import textwrap
from collections.abc import Callable, Mapping
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

_POINTS = 400
# Of the powers of ten on one side of an axis.
_MOST_DECADES = 4
_COLOURS = ("tab:orange", "tab:blue", "tab:green")
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


def loss_figure(loss: LossObject, title: str) -> Figure:
    """Draw a loss and its derivative: by the predicted probability for labels 0 and 1, or by the gap to a negative.

    Args:
        loss: Any pointwise loss, one that wants logits is drawn over the probability too; or one of scores, which is
            drawn for rows of 1, 8 and 64 negatives, one of which moves.
        title: The title, cut after four lines.
    """
    # TensorBoard shows figures in tiles of about 350 pixels, too narrow for two panels side by side.
    figure = Figure(figsize=(4.2, 5.4))
    # A tight layout, which measures every tick label, takes three quarters of the time.
    figure.subplots_adjust(left=0.2, right=0.96, bottom=0.1, top=0.84, hspace=0.1)
    value_axes, gradient_axes = figure.subplots(2, 1, sharex=True)
    curves = curves_of(loss)
    for (name, curve_of), colour in zip(curves.lines.items(), _COLOURS, strict=False):
        curve = curve_of(loss)
        value_axes.plot(curve.at, curve.value, color=colour, label=name)
        gradient_axes.plot(curve.at, curve.gradient, color=colour, label=name)
    value_axes.set(ylabel="loss")
    gradient_axes.set(ylabel=curves.derivative, xlabel=curves.over)
    for axes in (value_axes, gradient_axes):
        _scale(axes)
    gradient_axes.axhline(0, color="grey", linewidth=0.8)
    value_axes.legend()
    figure.suptitle("\n".join(textwrap.wrap(title, 50, max_lines=4, placeholder=" ...")), fontsize=9)
    return figure


def _scale(axes: Axes) -> None:
    """Scale an axis linearly between -1 and 1, and logarithmically beyond: poles would flatten everything else."""
    axes.set_yscale("symlog", linthresh=1.0)
    bottom, top = axes.get_ylim()
    decades = max(1, math.ceil(math.log10(max(-bottom, top, 1.0))))
    sizes = [0.5, *(10.0**power for power in range(0, decades + 1, -(-decades // _MOST_DECADES)))]
    ticks = [tick for tick in sorted({0.0, *sizes, *(-size for size in sizes)}) if bottom <= tick <= top]
    # Laid out as formulas, as matplotlib does with powers of ten, they take half the time of a figure.
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_yticks([], minor=True)


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
    over="pred",
    derivative="derivative by pred",
    limits=(0, 1),
    usual=BCE(),
)
_OF_SCORES = CurveKind(
    lines={
        "1 negative": partial(score_curve, negatives=1),
        "8 negatives": partial(score_curve, negatives=8),
        "64 negatives": partial(score_curve, negatives=64),
    },
    over="gap of one negative",
    derivative="derivative by it",
    limits=(-1.5, 1.5),
    usual=SampledSoftmax(),
)
