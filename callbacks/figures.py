"""Pictures of losses for TensorBoard and reports."""

import textwrap

import torch
from matplotlib.figure import Figure

from lightning_modules.losses import Loss

_POINTS = 400
_LABEL_COLOURS = {0: "tab:orange", 1: "tab:blue"}


def loss_figure(loss: Loss, title: str) -> Figure:
    """Draw a loss and its derivative by the predicted probability, for label 0 and 1.

    Args:
        loss: Any loss of one prediction; one that wants logits is drawn over the probability too.
        title: Written above in up to three lines; the rest is cut.
    """
    # TensorBoard shows figures in narrow tiles, where two panels side by side could not be read.
    figure = Figure(figsize=(5, 6))
    # A layout that measures every tick label takes three quarters of the time.
    figure.subplots_adjust(left=0.2, right=0.96, bottom=0.1, top=0.88, hspace=0.1)
    value_axes, gradient_axes = figure.subplots(2, 1, sharex=True)
    for label, colour in _LABEL_COLOURS.items():
        probability, value, gradient = _curve(loss, float(label))
        value_axes.plot(probability, value, color=colour, label=f"label {label}")
        gradient_axes.plot(probability, gradient, color=colour, label=f"label {label}")
    value_axes.set(ylabel="loss")
    gradient_axes.set(ylabel="derivative by pred", xlabel="pred")
    for axes in (value_axes, gradient_axes):
        # Poles at 0 and 1 would flatten everything else.
        axes.set_yscale("symlog", linthresh=1.0)
    gradient_axes.axhline(0, color="grey", linewidth=0.8)
    value_axes.legend()
    figure.suptitle("\n".join(textwrap.wrap(title, 60, max_lines=3, placeholder=" ...")), fontsize=10)
    return figure


def _curve(loss: Loss, label: float) -> tuple[list[float], list[float], list[float]]:
    probability = torch.linspace(0.005, 0.995, _POINTS, dtype=torch.float64).requires_grad_()
    value = loss.from_logit(torch.logit(probability), torch.full_like(probability, label))
    (gradient,) = torch.autograd.grad(value.sum(), probability)
    return probability.tolist(), value.tolist(), gradient.tolist()
