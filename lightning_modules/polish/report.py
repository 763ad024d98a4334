"""The report of a polish: tables in the terminal and in summary.md."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from rich.console import Console

from lightning_modules.polish.figures import DIFFERENCES_NAME, TESTED, differences_table
from lightning_modules.polish.records import metric_column
from lightning_modules.statistics.significance import Difference, holm
from lightning_modules.utilities.files import replace_file
from lightning_modules.utilities.markdown import markdown
from lightning_modules.utilities.program import tensorboard_command
from lightning_modules.utilities.row_table import print_rows, tell, tell_prose

#: Titles of the metrics in the tables; a terminal has room only for those that are tested.
SHOWN = {"auc": "AUC", "log_loss": "log-loss", "session_log_loss": "session log-loss"}


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
        for metric, title in TESTED.items() if self.differences else ():
            parts += [f"## {_heading(title)} less that of '{self.control}'", markdown(*self.gaps(metric))]
        parts += [_LEGEND] if self.differences else []
        parts += ["## Mind", "\n".join(f"- {remark}" for remark in self.remarks)] if self.remarks else []
        return "\n\n".join(parts) + "\n"

    def means(self, shown: Mapping[str, str] = SHOWN) -> tuple[list[str], list[list[str]]]:
        """Return the table of test metrics, by the titles given: mean and standard deviation over the seeds."""
        several = len(shown) > 1
        columns = {
            f"{title} {task}" if several else task: metric_column(f"test/{metric}/{task}")
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

    def write(self, root: Path) -> None:
        """Write ``summary.md`` and, where differences were tested, ``differences.csv``."""
        replace_file(root / "summary.md", lambda path: path.write_text(self.markdown(), encoding="utf-8"))
        if self.differences:
            table = differences_table(self.differences)
            replace_file(root / DIFFERENCES_NAME, lambda path: table.to_csv(path, index=False))
        else:
            # Of a polish that was continued with one seed.
            (root / DIFFERENCES_NAME).unlink(missing_ok=True)

    def print(self, console: Console, root: Path) -> None:
        """Print the tables, a line an arm, the remarks and where everything is."""
        for metric, title in TESTED.items():
            self._print_means(console, metric, title)
            for place, task in enumerate(self.tasks) if self.differences else ():
                header = ["difference", "interval", "p (Holm)", "p", "arm"]
                gaps = ((arm, *cells[4 * place : 4 * place + 4]) for arm, *cells in self.gaps(metric)[1])
                rows = [[gap, interval, adjusted, p_value, arm] for arm, gap, interval, p_value, adjusted in gaps]
                print_rows(console, f"\n{_heading(title)} {task}, less that of '{self.control}'", header, rows, kept=2)
            tell(console, "")
        tell_prose(console, *(f"- {remark}" for remark in self.remarks), "")
        tell(console, f"Summary: {root / 'summary.md'}", f"TensorBoard: {tensorboard_command(root)}")

    def _print_means(self, console: Console, metric: str, title: str) -> None:
        rows = [
            [task, mean, epochs, arm]
            for arm, *means, epochs in self.means({metric: title})[1]
            for task, mean in zip(self.tasks, means, strict=True)
        ]
        rows.sort(key=lambda row: self.tasks.index(row[0]))
        heading = f"{_heading(title)} on test rows"
        print_rows(console, heading, ["task", f"{title} ± sd", "best epoch", "arm"], rows, kept=2)


_LEGEND = (
    "Mean over the seeds, each with the same base model and order of batches. Intervals: paired bootstrap of the test "
    "sessions, with Student's t for what differs between seeds (Behrens-Fisher). p: two-sided; the second is adjusted "
    "for all differences of its table (Holm)."
)


def _heading(title: str) -> str:
    return f"{title[0].upper()}{title[1:]}"


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
