"""The style that all figures share: colours that stay apart for colour-blind readers, quiet axes, text as text."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec

from matplotlib import rc_context
from matplotlib.figure import Figure

Arguments = ParamSpec("Arguments")

#: Words, axes, lines that only guide the eye, and what lies behind words that cross a line.
INK, GUIDE, GRID, PAPER = "#1c2128", "#767f8a", "#e4e7ec", "#ffffff"
#: For data: Okabe and Ito, "Color Universal Design", 2008, https://jfly.uni-koeln.de/color/, darkened for thin lines.
BLUE, ORANGE, GREEN, PURPLE = "#0072b2", "#c85200", "#00845f", "#8f4a9e"
PALETTE = (BLUE, ORANGE, GREEN, PURPLE)

# Settings of matplotlib; the type that it gives them lists every one by name.
_STYLE: Any = {
    "font.size": 9.0,
    "axes.titlesize": 9.0,
    "axes.labelsize": 9.0,
    "figure.titlesize": 9.0,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "legend.fontsize": 8.0,
    "legend.frameon": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.edgecolor": GUIDE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
}


def styled(draw: Callable[Arguments, Figure]) -> Callable[Arguments, Figure]:
    """Let a function draw its figure in the style, whatever the settings of the program that calls it."""

    @wraps(draw)
    def drawn(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Figure:
        with rc_context(_STYLE):
            return draw(*args, **kwargs)

    return drawn
