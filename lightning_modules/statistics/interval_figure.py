"""The picture of differences from a baseline: an interval a line."""

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lightning_modules.utilities.figure_style import GUIDE, INK, PALETTE, PAPER, styled
from lightning_modules.utilities.markdown import short

_NAME_WIDTH, _BASELINE_WIDTH, _LINE_WIDTH = 60, 30, 60


@dataclass(frozen=True)
class PlottedDifference:
    """A difference from the baseline.

    Args:
        name: What differs, such as a formula.
        estimate: Difference from the baseline; nan if there is none, after a divergence.
        low: Lower end of the interval; nan if there is none.
        high: Upper end of the interval; nan if there is none.
        group: Shown as its colour.
    """

    name: str
    estimate: float
    low: float
    high: float
    group: str


@styled
def intervals_figure(
    rows: Sequence[PlottedDifference],
    *,
    title: str,
    quantity: str,
    baseline: str,
    basis: str = "",
    groups: Sequence[str] = (),
) -> Figure:
    """Draw one horizontal interval a row, in the order given from the top, around a line at zero for the baseline.

    Args:
        rows: What to draw; one whose estimate is nan is shown as diverged.
        title: Written above in up to three lines; the rest is cut.
        quantity: What is on the axis.
        baseline: Name of what zero stands for.
        basis: What the intervals are, such as their confidence and what they are over.
        groups: All groups that pictures of this kind have, so that each has the same colour everywhere.
    """
    # TensorBoard shows figures in narrow tiles: names beside the intervals would leave no room for either.
    figure = Figure(figsize=(4.2, 1.75 + 0.4 * len(rows)), layout="constrained")
    axes = figure.subplots()
    known = list(dict.fromkeys([*groups, *(row.group for row in rows)]))
    colours = {group: PALETTE[known.index(group) % len(PALETTE)] for group in known if _has(rows, group)}
    axes.axvline(0, color=INK, linewidth=0.8, linestyle="--", zorder=0)
    for place, row in enumerate(rows):
        _draw(axes, place, row, colours[row.group])
    for group, colour in colours.items():
        axes.plot([], [], "o-", color=colour, markersize=5, label=group)
    axes.set(ylim=(len(rows) - 0.6, -0.8), yticks=[])
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("\n".join(filter(None, [quantity, *_lines(basis)])))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    _label_zero(axes, baseline)
    figure.suptitle("\n".join(_lines(title)))
    if colours:
        figure.legend(loc="outside lower center", ncols=3)
    return figure


def _has(rows: Sequence[PlottedDifference], group: str) -> bool:
    return any(row.group == group for row in rows)


def _lines(text: str) -> list[str]:
    return textwrap.wrap(text, _LINE_WIDTH, max_lines=3, placeholder=" ...")


def _draw(axes: Axes, place: int, row: PlottedDifference, colour: str) -> None:
    diverged = math.isnan(row.estimate)
    outcome = ": diverged" if diverged else ""
    name = short(row.name, _NAME_WIDTH - len(outcome)) + outcome
    # A formula is no mathtext; the box keeps a name legible where it crosses the line at zero.
    text = axes.text(0.01, place - 0.28, name, transform=axes.get_yaxis_transform(), fontsize=8.5, va="center")
    text.set(parse_math=False, bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 0.5})
    if diverged:
        text.set(style="italic", color=GUIDE)
        return
    axes.plot([row.low, row.high], [place, place], color=colour, linewidth=2, solid_capstyle="butt")
    axes.plot([row.estimate], [place], "o", color=colour, markersize=5)


def _label_zero(axes: Axes, baseline: str) -> None:
    low, high = axes.get_xlim()
    share = -low / (high - low)
    alignment = "left" if share < 0.25 else "right" if share > 0.75 else "center"
    text = axes.text(0, 1.01, short(baseline, _BASELINE_WIDTH), transform=axes.get_xaxis_transform(), fontsize=8)
    text.set(ha=alignment, va="bottom", parse_math=False)
