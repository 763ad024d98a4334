"""Picture of a comparison: one interval a loss, around the baseline."""

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lightning_modules.compare.tables import short

_PALETTE = colormaps["tab10"]
_NAME_WIDTH = 60
_BASELINE_WIDTH = 30


@dataclass(frozen=True)
class Interval:
    """A loss and its difference from the baseline.

    Args:
        name: Name or formula of the loss.
        estimate: Difference from the baseline; nan if the loss diverged.
        low: Lower end of the interval; nan if there is none.
        high: Upper end of the interval; nan if there is none.
        group: Where the loss comes from, shown as its colour.
    """

    name: str
    estimate: float
    low: float
    high: float
    group: str


def intervals_figure(rows: Sequence[Interval], *, title: str, baseline: str) -> Figure:
    """Draw one horizontal interval a loss, in the order given from the top, around a line at zero for the baseline.

    Args:
        rows: What to draw; a loss whose estimate is nan is shown as diverged.
        title: Written above in up to three lines; the rest is cut.
        baseline: Name of the loss that zero stands for.
    """
    # TensorBoard shows figures in narrow tiles: names beside the intervals would leave either no room.
    figure = Figure(figsize=(4.2, 1.5 + 0.4 * len(rows)), layout="constrained")
    axes = figure.subplots()
    colours = {group: _PALETTE(place % _PALETTE.N) for place, group in enumerate(_groups(rows))}
    axes.axvline(0, color="black", linewidth=0.8, linestyle="--", zorder=0)
    for place, row in enumerate(rows):
        _draw(axes, place, row, colours[row.group])
    for group, colour in colours.items():
        axes.plot([], [], "o", color=colour, markersize=5, label=group)
    axes.set(ylim=(len(rows) - 0.6, -0.8), yticks=[])
    axes.set_xlabel("difference from the baseline", fontsize=9)
    axes.tick_params(labelsize=8)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    _label_zero(axes, baseline)
    figure.suptitle("\n".join(textwrap.wrap(title, 60, max_lines=3, placeholder=" ...")), fontsize=9)
    if colours:
        figure.legend(loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    return figure


def _groups(rows: Sequence[Interval]) -> list[str]:
    return list(dict.fromkeys(row.group for row in rows))


def _draw(axes: Axes, place: int, row: Interval, colour: tuple[float, float, float, float]) -> None:
    diverged = math.isnan(row.estimate)
    outcome = ": diverged" if diverged else ""
    name = short(row.name, _NAME_WIDTH - len(outcome)) + outcome
    # A formula is no mathtext, and where a name crosses the line at zero the name is to be read.
    text = axes.text(0.01, place - 0.28, name, transform=axes.get_yaxis_transform(), fontsize=8.5, va="center")
    text.set(parse_math=False, bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5})
    if diverged:
        text.set(style="italic", color="dimgrey")
        return
    axes.plot([row.low, row.high], [place, place], color=colour, linewidth=2, solid_capstyle="butt")
    axes.plot([row.estimate], [place], "o", color=colour, markersize=5)


def _label_zero(axes: Axes, baseline: str) -> None:
    low, high = axes.get_xlim()
    share = -low / (high - low)
    alignment = "left" if share < 0.25 else "right" if share > 0.75 else "center"
    text = axes.text(0, 1.01, short(baseline, _BASELINE_WIDTH), transform=axes.get_xaxis_transform(), fontsize=8)
    text.set(ha=alignment, va="bottom", parse_math=False)
