"""The report of a comparison: table, picture and page."""

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lightning_modules.compare.audit import Verdict
from lightning_modules.compare.compared_losses import GROUPS
from lightning_modules.compare.criteria import Criterion
from lightning_modules.compare.repeated_audit import ArmResult
from lightning_modules.compare.results import LossResult
from lightning_modules.compare.search_tables import LEGEND, search_cells, search_header, search_numbers
from lightning_modules.compare.tables import (
    cells,
    header,
    narrow_cells,
    narrow_header,
    numbers,
    part_cells,
    part_header,
)
from lightning_modules.utilities.files import replace_file, save_picture
from lightning_modules.utilities.markdown import literal, markdown, short

_PALETTE = colormaps["tab10"]
_NAME_WIDTH = 60
_BASELINE_WIDTH = 30


@dataclass(frozen=True)
class PlottedDifference:
    """A loss and its difference from the baseline.

    Args:
        name: Name or formula of the loss.
        estimate: Difference from the baseline; nan if the loss diverged.
        low: Lower end of the interval; nan if there is none.
        high: Upper end of the interval; nan if there is none.
        group: Where the loss comes from, one of :data:`~lightning_modules.compare.compared_losses.GROUPS`, shown as its
            colour.
    """

    name: str
    estimate: float
    low: float
    high: float
    group: str


def intervals_figure(rows: Sequence[PlottedDifference], *, title: str, baseline: str) -> Figure:
    """Draw one horizontal interval a loss, in the order given from the top, around a line at zero for the baseline.

    Args:
        rows: What to draw; a loss whose estimate is nan is shown as diverged.
        title: Written above in up to three lines; the rest is cut.
        baseline: Name of the loss that zero stands for.
    """
    # TensorBoard shows figures in narrow tiles: names beside the intervals would leave no room for either.
    figure = Figure(figsize=(4.2, 1.5 + 0.4 * len(rows)), layout="constrained")
    axes = figure.subplots()
    # A group has the same colour in every picture.
    colours = {group: _PALETTE(place) for place, group in enumerate(GROUPS) if group in {row.group for row in rows}}
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


def _draw(axes: Axes, place: int, row: PlottedDifference, colour: tuple[float, float, float, float]) -> None:
    diverged = math.isnan(row.estimate)
    outcome = ": diverged" if diverged else ""
    name = short(row.name, _NAME_WIDTH - len(outcome)) + outcome
    # A formula is no mathtext; the white box keeps a name legible where it crosses the line at zero.
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


def _table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(*header, title=title, box=SIMPLE_HEAD)
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    return table


@dataclass(frozen=True)
class ComparisonReport:
    """A finished comparison.

    Attributes:
        results: The results of all losses, the baseline first.
        audit: The audit of a search or of several, if there was one.
        remarks: The limits of the comparison, a line each.
        setup: What was compared on what, in words.
        arms: The searches, if several were audited.
    """

    results: Sequence[LossResult]
    audit: Verdict | None
    remarks: Sequence[str]
    setup: str
    arms: Sequence[ArmResult] = ()

    @property
    def criterion(self) -> Criterion:
        """What the losses are compared by."""
        return self.results[0].criterion

    @property
    def baseline(self) -> str:
        """The name of the loss that all others are compared with."""
        return self.results[0].loss.label

    def table(self) -> pd.DataFrame:
        """Return a row for every loss, the baseline first, as ``summary.csv`` has it."""
        return numbers(self.results)

    def markdown(self) -> str:
        """Return the comparison as a page."""
        parts = ["# Comparison of losses", self.setup]
        parts += ["## Searches"] if self.arms else []
        parts += [literal(self.audit.sentence)] if self.audit else []
        if self.arms:
            parts += [markdown(search_header(self.criterion), search_cells(self.arms)), LEGEND, "## Losses"]
        parts += [markdown(header(self.results), cells(self.results)), self._legend()]
        each = part_cells(self.results)
        parts += ["## Each task", markdown(part_header(), each)] if each else []
        parts += ["## Mind", "\n".join(f"- {literal(remark)}" for remark in self.remarks)] if self.remarks else []
        formulas = [result.loss for result in self.results if result.loss.label != result.loss.title]
        listed = "\n".join(f"- {literal(loss.label)}: `{loss.title}`" for loss in formulas)
        parts += ["## Formulas", listed] if formulas else []
        return "\n\n".join(parts) + "\n"

    def figure(self) -> Figure:
        """Return the picture: an interval a loss, the best first."""
        rows = [
            PlottedDifference(
                result.loss.label,
                result.difference.estimate,
                result.difference.low,
                result.difference.high,
                result.loss.group,
            )
            for result in self.results[1:]
        ]
        rows.sort(key=lambda row: -row.estimate if row.estimate == row.estimate else float("inf"))
        return intervals_figure(
            rows, title=f"Test {self.criterion.title}: difference to {self.baseline}", baseline=self.baseline
        )

    def searches_figure(self) -> Figure:
        """Return the picture of several searches: an interval a search, and one for the mean of each arm."""
        rows = [
            PlottedDifference(name, each.estimate, each.low, each.high, arm.arm)
            for arm in self.arms
            for name, each in (
                *((f"{each.search.name}: {each.found}", each.difference) for each in arm.searches),
                (f"mean of {len(arm.searches)}", arm.difference),
            )
        ]
        title = f"Test {self.criterion.title} of what searches found: difference to {self.baseline}"
        return intervals_figure(rows, title=title, baseline=self.baseline)

    def write(self, root: Path) -> None:
        """Write ``summary.md``, ``summary.csv`` and ``intervals.png``; of several searches their table and picture."""
        replace_file(root / "summary.md", lambda path: path.write_text(self.markdown(), encoding="utf-8"))
        replace_file(root / "summary.csv", lambda path: numbers(self.results).to_csv(path, index=False))
        save_picture(root / "intervals.png", self.figure(), dpi=150)
        table, picture = root / "searches.csv", root / "searches.png"
        if self.arms:
            replace_file(table, lambda path: search_numbers(self.arms).to_csv(path, index=False))
            save_picture(picture, self.searches_figure(), dpi=150)
        else:
            # Of a comparison that was continued with fewer searches.
            table.unlink(missing_ok=True)
            picture.unlink(missing_ok=True)

    def print(self, console: Console, root: Path) -> None:
        """Print the table, the audit and the remarks."""
        title = f"Losses compared with {self.baseline}, on the test rows"
        console.print(_table(title, narrow_header(self.criterion), narrow_cells(self.results)))
        self._print_parts(console)
        if self.arms:
            header, cells = search_header(self.criterion)[:-2], [row[:-2] for row in search_cells(self.arms)]
            console.print(_table(f"Searches compared with {self.baseline}, on the test rows", header, cells))
        for remark in self.remarks:
            console.print(f"- {remark}", markup=False, highlight=False)
        if self.audit:
            console.print(f"\n{self.audit.sentence}", style="bold", markup=False, highlight=False)
        console.print(f"\nSummary: {root / 'summary.md'}", soft_wrap=True, markup=False, highlight=False)
        console.print(f"TensorBoard: tensorboard --logdir {root}", soft_wrap=True, markup=False, highlight=False)

    def _print_parts(self, console: Console) -> None:
        rows = part_cells(self.results)
        if rows:
            console.print(_table("Each task, on the test rows", part_header(narrow=True), rows))

    def _legend(self) -> str:
        return (
            "sd: standard deviation over the seeds; se: standard error over the draw of the rows. Difference: mean "
            f"over the seeds of the test {self.criterion.title} less that of {literal(self.baseline)} from the same "
            "start, with a paired bootstrap interval over rows and Student's t for what differs between seeds "
            "(Behrens-Fisher); p: two-sided, adjusted for the number of losses (Holm)."
        )
