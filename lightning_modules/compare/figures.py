"""The pictures of a comparison."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from lightning_modules.compare.compared_losses import GROUPS
from lightning_modules.statistics.interval_figure import PlottedDifference, intervals_figure


def differences_figure(
    rows: Sequence[PlottedDifference], metric: str, baseline: str, basis: str, of_whom: str = "each loss"
) -> Figure:
    """Draw differences in a test metric, of which more is better.

    Args:
        rows: What to draw, from the top.
        metric: The metric's title.
        baseline: Name of the loss that zero stands for.
        basis: What the intervals are, in words.
        of_whom: Whose metric it is, in words.
    """
    return intervals_figure(
        rows,
        title=f"Test {metric} of {of_whom}, beside {baseline}: better to the right of the line",
        quantity=f"test {metric} less that of {baseline}",
        baseline=baseline,
        basis=basis,
        groups=GROUPS,
    )
