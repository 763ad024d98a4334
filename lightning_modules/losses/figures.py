"""Curves of losses for TensorBoard and reports."""

import math
import statistics
import textwrap
from collections.abc import Mapping

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lightning_modules.losses import Loss

_POINTS = 400
# Of the powers of ten on one side of an axis.
_MOST_DECADES = 4
_LABEL_COLOURS = {0: "tab:orange", 1: "tab:blue"}
# Below it lies most of BCE's curve.
_HIGHEST_SHOWN = 5.0


def loss_figure(loss: Loss, title: str) -> Figure:
    """Draw a loss and its derivative by the predicted probability, for labels 0 and 1.

    Args:
        loss: Any pointwise loss; one that wants logits is drawn over the probability too.
        title: The title, cut after four lines.
    """
    # TensorBoard shows figures in tiles of about 350 pixels, too narrow for two panels side by side.
    figure = Figure(figsize=(4.2, 5.4))
    # A tight layout, which measures every tick label, takes three quarters of the time.
    figure.subplots_adjust(left=0.2, right=0.96, bottom=0.1, top=0.84, hspace=0.1)
    value_axes, gradient_axes = figure.subplots(2, 1, sharex=True)
    for label, colour in _LABEL_COLOURS.items():
        probability, value, gradient = _curve(loss, float(label))
        value_axes.plot(probability, value, color=colour, label=f"label {label}")
        gradient_axes.plot(probability, gradient, color=colour, label=f"label {label}")
    value_axes.set(ylabel="loss")
    gradient_axes.set(ylabel="derivative by pred", xlabel="pred")
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


def draw_beside(axes: Axes, losses: Mapping[str, Loss]) -> None:
    """Draw losses over the predicted probability for labels 0 and 1, the first solid and the others dashed.

    An offset does not change training, nor does the scale with optimizers such as Adam. So every curve starts at 0 at
    its minimum and is scaled to the median slope of the last loss.

    Args:
        axes: The axes to draw on.
        losses: The losses by their names in the legend.
    """
    curves = {name: [_curve(loss, float(label)) for label in _LABEL_COLOURS] for name, loss in losses.items()}
    slopes = {name: _median_slope([gradient for *_, gradient in pair]) for name, pair in curves.items()}
    *_, usual = slopes.values()
    for place, (name, pair) in enumerate(curves.items()):
        for (label, colour), (probability, value, _) in zip(_LABEL_COLOURS.items(), pair, strict=True):
            height = (np.array(value) - _least(value)) * usual / slopes[name]
            style = "--" if place else "-"
            axes.plot(probability, height, style, color=colour, linewidth=2 - place, label=f"{name}, label {label}")
    axes.set(xlim=(0, 1), ylim=(-0.02 * _HIGHEST_SHOWN, _HIGHEST_SHOWN))


def _median_slope(gradients: list[list[float]]) -> float:
    slopes = [abs(each) for gradient in gradients for each in gradient if each and math.isfinite(each)]
    return statistics.median(slopes) if slopes else 1.0


def _least(value: list[float]) -> float:
    return min((each for each in value if math.isfinite(each)), default=0.0)


def _curve(loss: Loss, label: float) -> tuple[list[float], list[float], list[float]]:
    probability = torch.linspace(0.005, 0.995, _POINTS, dtype=torch.float64).requires_grad_()
    value = loss.from_logit(torch.logit(probability), torch.full_like(probability, label))
    (gradient,) = torch.autograd.grad(value.sum(), probability)
    return probability.tolist(), value.tolist(), gradient.tolist()
