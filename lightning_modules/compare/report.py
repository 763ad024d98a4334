"""The report of a comparison: table, picture and page."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from rich.console import Console

from lightning_modules.compare.audit import Verdict
from lightning_modules.compare.criteria import Criterion
from lightning_modules.compare.figures import differences_figure
from lightning_modules.compare.repeated_audit import ArmResult
from lightning_modules.compare.results import LossResult
from lightning_modules.compare.search_tables import LEGEND, search_cells, search_header, search_numbers
from lightning_modules.compare.tables import (
    cells,
    header,
    numbers,
    part_cells,
    part_header,
    screen_cells,
    screen_header,
)
from lightning_modules.statistics.interval_figure import PlottedDifference
from lightning_modules.utilities.files import replace_file, save_picture
from lightning_modules.utilities.markdown import literal, markdown
from lightning_modules.utilities.program import tensorboard_command
from lightning_modules.utilities.row_table import print_rows, tell, tell_prose


@dataclass(frozen=True)
class ComparisonReport:
    """A finished comparison.

    Attributes:
        results: The results of all losses, the baseline first.
        audit: The audit of a search or of several, if there was one.
        remarks: The limits of the comparison, a line each.
        setup: What was compared on what, in words.
        arms: The searches, if several were audited.
        basis: What the intervals are, in words.
    """

    results: Sequence[LossResult]
    audit: Verdict | None
    remarks: Sequence[str]
    setup: str
    arms: Sequence[ArmResult] = ()
    basis: str = ""

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
        listed = "\n".join(f"- {literal(loss.label)}: `{loss.loss.shown}`" for loss in formulas)
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
        return differences_figure(rows, self.criterion.title, self.baseline, self.basis)

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
        of_whom = "what searches found"
        return differences_figure(rows, self.criterion.title, self.baseline, self.basis, of_whom)

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
        """Print the tables, a line a loss, the remarks, the audit and where everything is."""
        tested = f"compared with {self.baseline}, on the test rows"
        rows = screen_cells(self.results)
        is_cut = print_rows(console, f"Losses {tested}", screen_header(self.criterion), rows, kept=4)
        parts = [[metric, *figures, loss] for loss, metric, *figures in part_cells(self.results)]
        if parts:
            loss, *figures = part_header()
            is_cut |= print_rows(console, "\nEach task, on the test rows", [*figures, loss], parts, kept=4)
        if self.arms:
            search, found, test, *figures = search_header(self.criterion)[:-2]
            searches = [[row[0], *row[3:-2], row[2], row[1]] for row in search_cells(self.arms)]
            is_cut |= print_rows(console, f"\nSearches {tested}", [search, *figures, test, found], searches, kept=3)
        if is_cut:
            tell(console, f"Losses in full: {root / 'summary.csv'}")
        tell_prose(console, "", *(f"- {remark}" for remark in self.remarks))
        if self.audit:
            tell_prose(console, "", self.audit.sentence, style="bold")
        tell(console, "", f"In a picture: {root / 'intervals.png'}", f"Summary: {root / 'summary.md'}")
        tell(console, f"TensorBoard: {tensorboard_command(root)}")

    def _legend(self) -> str:
        return (
            f"sd: standard deviation over the seeds; se: standard error over the draw of the {self.criterion.unit}. "
            f"Difference: mean over the seeds of the test {self.criterion.title} less that of {literal(self.baseline)} "
            f"from the same start, with a paired bootstrap interval over {self.criterion.unit} and Student's t for "
            "what differs between seeds (Behrens-Fisher); p: two-sided, adjusted for the number of losses (Holm)."
        )
