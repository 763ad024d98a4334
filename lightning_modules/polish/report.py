"""The report of a polish: tables in the terminal and in summary.md."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table

from lightning_modules.statistics.significance import Difference, holm
from lightning_modules.utilities.files import replace_file
from lightning_modules.utilities.markdown import markdown

#: Titles of the metrics in the tables; a terminal has room only for those that are tested.
SHOWN = {"auc": "AUC", "log_loss": "log-loss", "session_log_loss": "session log-loss"}
_TESTED = {"auc": "AUC", "session_log_loss": "session log-loss"}


@dataclass(frozen=True)
class PolishReport:
    """A finished polish.

    Attributes:
        results: One row an arm and seed, as results.csv has it.
        tasks: Names of the tasks.
        control: The arm that the others are compared with.
        differences: The differences to it, by arm and metric.
        setup: What was trained on what, in words.
        remarks: The limits of the polish, a line each.
    """

    results: pd.DataFrame
    tasks: Sequence[str]
    control: str
    differences: Mapping[tuple[str, str], Difference]
    setup: str
    remarks: Sequence[str]

    def markdown(self) -> str:
        """Return the polish as a page."""
        parts = ["# Polish", self.setup, markdown(*self.means())]
        for metric, title in _TESTED.items() if self.differences else ():
            parts += [f"## {_heading(title)} less that of '{self.control}'", markdown(*self.gaps(metric))]
        parts += [_LEGEND] if self.differences else []
        parts += ["## Mind", "\n".join(f"- {remark}" for remark in self.remarks)] if self.remarks else []
        return "\n\n".join(parts) + "\n"

    def means(self, shown: Mapping[str, str] = SHOWN) -> tuple[list[str], list[list[str]]]:
        """Return the table of test metrics, by the titles given: mean and standard deviation over the seeds."""
        several = len(shown) > 1
        columns = {
            f"{title} {task}" if several else task: f"test_{metric}_{task}"
            for metric, title in shown.items()
            for task in self.tasks
        }
        rows = []
        for arm, runs in self.results.groupby("arm", sort=False):
            epochs = "/".join(str(int(epoch)) for epoch in runs["epoch"])
            rows.append([str(arm), *(_spread(runs, column) for column in columns.values()), epochs])
        return ["arm", *columns, "best epoch"], rows

    def gaps(self, metric: str) -> tuple[list[str], list[list[str]]]:
        """Return the table of differences to the control in one metric, p-values adjusted within it."""
        found = {key: value for key, value in self.differences.items() if key[1].startswith(f"{metric}/")}
        adjusted = dict(zip(found, holm([each.p_value for each in found.values()]), strict=True))
        arms = list(dict.fromkeys(arm for arm, _ in found))
        header = ["arm"]
        for task in self.tasks:
            header += [f"{task}", "interval", "p", "p (Holm)"]
        rows = []
        for arm in arms:
            keys = [(arm, f"{metric}/{task}") for task in self.tasks]
            rows.append([arm, *(cell for key in keys for cell in _cells(found[key], adjusted[key]))])
        return header, rows

    def _narrow_gaps(self, metric: str) -> tuple[list[str], list[list[str]]]:
        """Return the differences with one column a task, the intervals on second lines."""
        _, rows = self.gaps(metric)
        narrow = []
        for arm, *cells in rows:
            of_tasks = [cells[start : start + 4] for start in range(0, len(cells), 4)]
            narrow.append(
                [arm, *("-" if gap == "-" else f"{gap}; p {p}\n{interval}" for gap, interval, p, _ in of_tasks)]
            )
        return ["arm", *self.tasks], narrow

    def write(self, root: Path) -> None:
        """Write ``summary.md``."""
        replace_file(root / "summary.md", lambda path: path.write_text(self.markdown(), encoding="utf-8"))

    def print(self, console: Console, root: Path) -> None:
        """Print the tables and the remarks."""
        for metric, title in _TESTED.items():
            _print(console, f"{_heading(title)} on test rows", *self.means({metric: title}))
            if self.differences:
                _print(
                    console,
                    f"{_heading(title)} less that of '{self.control}'",
                    *self._narrow_gaps(metric),
                )
        for remark in self.remarks:
            console.print(f"- {remark}", markup=False, highlight=False)
        console.print(f"\nSummary: {root / 'summary.md'}", soft_wrap=True, markup=False, highlight=False)
        console.print(f"TensorBoard: tensorboard --logdir {root}", soft_wrap=True, markup=False, highlight=False)


_LEGEND = (
    "Mean over the seeds, each with the same base model and order of batches. Intervals: paired bootstrap of the test "
    "sessions, with Student's t for what differs between seeds (Behrens-Fisher). p: two-sided; the second is adjusted "
    "for all differences of its table (Holm)."
)


def _heading(title: str) -> str:
    return f"{title[0].upper()}{title[1:]}"


def _print(console: Console, title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    # Without the zero before the point the numbers fit; in a narrow terminal names are folded, numbers are not.
    columns = [
        Column(header[0], overflow="fold"),
        *(Column(name.replace(" ", "\n"), no_wrap=True) for name in header[1:]),
    ]
    table = Table(*columns, title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for arm, *cells in rows:
        table.add_row(arm, *(re.sub(r"(?<!\d)0\.", ".", cell) for cell in cells))
    console.print(table)


def _spread(runs: pd.DataFrame, column: str) -> str:
    if column not in runs or runs[column].isna().any():
        return "-"
    mean, spread = runs[column].mean(), runs[column].std()
    return f"{mean:.4f}" if math.isnan(spread) else f"{mean:.4f} ± {spread:.4f}"


def _cells(difference: Difference, adjusted: float) -> list[str]:
    if math.isnan(difference.estimate):
        return ["-"] * 4
    interval = f"{difference.low:+.4f} to {difference.high:+.4f}"
    return [f"{difference.estimate:+.4f}", interval, f"{difference.p_value:.2g}", f"{adjusted:.2g}"]
