"""What a comparison ends with: a table in the terminal, summary.md, summary.csv and a picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lightning_modules.compare.audit import Audit
from lightning_modules.compare.figures import Interval, intervals_figure
from lightning_modules.compare.standings import Standing
from lightning_modules.compare.tables import HEADER, NARROW_HEADER, cells, literal, markdown, narrow_cells, numbers
from lightning_modules.files import replace_file, save_picture


@dataclass(frozen=True)
class Report:
    """A finished comparison.

    Attributes:
        standings: All losses, the baseline first.
        audit: The audit of a search, if there was one.
        remarks: What a reader must know.
        setup: What was compared on what, in words.
    """

    standings: Sequence[Standing]
    audit: Audit | None
    remarks: Sequence[str]
    setup: str

    @property
    def baseline(self) -> str:
        """The name of the loss that all others are compared with."""
        return self.standings[0].entrant.label

    def markdown(self) -> str:
        """Return the comparison as a page."""
        parts = ["# Comparison of losses", self.setup]
        parts += [literal(self.audit.sentence)] if self.audit else []
        parts += [markdown(HEADER, [cells(standing) for standing in self.standings]), self._legend()]
        parts += ["## Mind", "\n".join(f"- {literal(remark)}" for remark in self.remarks)] if self.remarks else []
        formulas = [each for each in self.standings if each.entrant.label != each.entrant.title]
        listed = "\n".join(f"- {literal(each.entrant.label)}: `{each.entrant.title}`" for each in formulas)
        parts += ["## Formulas", listed] if formulas else []
        return "\n\n".join(parts) + "\n"

    def figure(self) -> Figure:
        """Return the picture: an interval a loss, the best first."""
        rows = [
            Interval(
                standing.entrant.label,
                standing.difference.estimate,
                standing.difference.low,
                standing.difference.high,
                standing.entrant.group,
            )
            for standing in self.standings[1:]
        ]
        rows.sort(key=lambda row: -row.estimate if row.estimate == row.estimate else float("inf"))
        return intervals_figure(rows, title=f"Test AUC: difference to {self.baseline}", baseline=self.baseline)

    def write(self, root: Path) -> None:
        """Write ``summary.md``, ``summary.csv`` and ``intervals.png``."""
        replace_file(root / "summary.md", lambda path: path.write_text(self.markdown(), encoding="utf-8"))
        replace_file(root / "summary.csv", lambda path: numbers(self.standings).to_csv(path, index=False))
        save_picture(root / "intervals.png", self.figure(), dpi=150)

    def print(self, console: Console, root: Path) -> None:
        """Print the table, the audit and the remarks."""
        table = Table(*NARROW_HEADER, title=f"Losses compared with {self.baseline}, on the test rows", box=SIMPLE_HEAD)
        for standing in self.standings:
            table.add_row(*(escape(cell) for cell in narrow_cells(standing)))
        console.print(table)
        for remark in self.remarks:
            console.print(f"- {remark}", markup=False, highlight=False)
        if self.audit:
            console.print(f"\n{self.audit.sentence}", style="bold", markup=False, highlight=False)
        console.print(f"\nSummary: {root / 'summary.md'}", soft_wrap=True, markup=False, highlight=False)
        console.print(f"TensorBoard: tensorboard --logdir {root}", soft_wrap=True, markup=False, highlight=False)

    def _legend(self) -> str:
        return (
            "sd: standard deviation over the seeds; se: standard error over the draw of the rows. Difference: mean "
            f"over the seeds of the test AUC less that of {literal(self.baseline)} from the same start, with a paired "
            "bootstrap interval over rows and Student's t for what differs between seeds (Behrens-Fisher); p: "
            "two-sided, adjusted for the number of losses (Holm)."
        )
