"""The tables and remarks that a polish ends with."""

import io
import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

from lightning_modules.polish.report import PolishReport
from lightning_modules.statistics.significance import Difference

NAN = math.nan
TASKS = ("click", "buy")
LONG = "from scratch, DynamicWeightAveraging"


def difference(estimate: float, p_value: float) -> Difference:
    return Difference(estimate, estimate - 0.01, estimate + 0.01, 0.005, p_value)


def results(arms: tuple[str, ...] = ("base", "control", LONG)) -> pd.DataFrame:
    """Return rows whose AUC of click is 0.6 and 0.62 for the first arm, and 0.1 more for each other."""
    rows: list[dict[str, Any]] = []
    for place, arm in enumerate(arms):
        for seed in (1, 2):
            row: dict[str, Any] = {"arm": arm, "seed": seed, "epoch": place + seed, "seconds": 1.0}
            for metric in ("auc", "log_loss", "session_log_loss"):
                row |= {f"test_{metric}_{task}": 0.6 + 0.02 * (seed - 1) + 0.1 * place for task in TASKS}
            rows.append(row)
    return pd.DataFrame(rows)


def report(**fields: Any) -> PolishReport:
    found = {
        (arm, f"{metric}/{task}"): difference(0.1 * place - 0.02 * column, 0.01 * (1 + place + column))
        for place, arm in enumerate(("base", LONG))
        for metric in ("auc", "session_log_loss")
        for column, task in enumerate(TASKS)
    }
    defaults = {"tasks": TASKS, "control": "control", "differences": found, "setup": "Set up so.", "remarks": ["Mind."]}
    return PolishReport(**{"results": results(), **defaults, **fields})


def printed(given: PolishReport, width: int = 80) -> str:
    console = Console(width=width, file=io.StringIO(), force_terminal=True, color_system=None)
    given.print(console, Path("runs/polish"))
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_means_and_spreads_over_the_seeds() -> None:
    header, rows = report().means()
    assert header[:3] == ["arm", "AUC click", "AUC buy"]
    assert header[-2:] == ["session log-loss buy", "best epoch"]
    # The standard deviation of two numbers is their distance by the root of 2.
    assert rows[0] == ["base", *["0.6100 ± 0.0141"] * 6, "1/2"]
    assert [row[0] for row in rows] == ["base", "control", LONG]
    assert rows[2][1] == "0.8100 ± 0.0141"
    assert rows[2][-1] == "3/4"


def test_an_arm_that_is_not_finite_with_one_seed_has_no_mean() -> None:
    table = results()
    table.loc[(table["arm"] == "control") & (table["seed"] == 2), "test_auc_click"] = NAN
    table = table.drop(columns="test_log_loss_buy")
    row = report(results=table).means()[1][1]
    assert row[:5] == ["control", "-", "0.7100 ± 0.0141", "0.7100 ± 0.0141", "-"]


def test_one_seed_has_no_spread() -> None:
    table = results()
    row = report(results=table[table["seed"] == 1], differences={}).means()[1][0]
    assert row == ["base", *["0.6000"] * 6, "1"]


def test_differences_have_p_values_adjusted_within_their_table() -> None:
    header, rows = report().gaps("auc")
    assert header == ["arm", "click", "interval", "p", "p (Holm)", "buy", "interval", "p", "p (Holm)"]
    assert rows[0] == [
        "base",
        "+0.0000",
        "-0.0100 to +0.0100",
        "0.01",
        "0.04",
        "-0.0200",
        "-0.0300 to -0.0100",
        "0.02",
        "0.06",
    ]
    # Four p-values, ascending .01, .02, .02, .03; times 4, 3, 2 and 1, and never falling.
    assert [row[4] for row in rows] == ["0.04", "0.06"]
    assert [row[8] for row in rows] == ["0.06", "0.06"]


def test_a_difference_that_is_unknown_counts_for_nothing() -> None:
    found = dict(report().differences)
    for metric in ("auc", "session_log_loss"):
        found[LONG, f"{metric}/click"] = Difference(NAN, NAN, NAN, NAN, NAN)
    rows = report(differences=found).gaps("auc")[1]
    assert rows[1][1:5] == ["-"] * 4
    # The smallest of three p-values, not of four.
    assert rows[0][4] == "0.03"


def test_the_page_has_setup_tables_and_remarks(tmp_path: Path) -> None:
    report().write(tmp_path)
    page = (tmp_path / "summary.md").read_text(encoding="utf-8")
    assert page.startswith("# Polish\n\nSet up so.\n\n| arm | AUC click |")
    assert "## AUC less that of 'control'" in page
    assert "## Session log-loss less that of 'control'" in page
    assert "paired bootstrap of the test sessions" in page
    assert page.endswith("## Mind\n\n- Mind.\n")


def test_without_differences_and_remarks_there_are_no_such_sections() -> None:
    page = report(differences={}, remarks=[]).markdown()
    assert page.count("#") == 1
    assert "bootstrap" not in page
    assert "less that of" not in printed(report(differences={}))


@pytest.mark.parametrize("tasks", [2, 3])
def test_the_terminal_shows_every_name_whole_in_80_columns(tasks: int) -> None:
    names = ("click", "buy", "long_view")[:tasks]
    table = results().assign(
        **{f"test_{metric}_long_view": 0.5 for metric in ("auc", "session_log_loss")}  # type: ignore[arg-type]
    )
    found = {
        (arm, f"{metric}/{task}"): difference(-0.0123, 0.0012)
        for arm in ("base", LONG)
        for metric in ("auc", "session_log_loss")
        for task in names
    }
    text = printed(report(results=table, tasks=names, differences=found))
    lines = text.splitlines()
    assert max(len(line.rstrip()) for line in lines) <= 80
    assert "..." not in text
    for part in (LONG, "0.8100 ± 0.0141", "-0.0123  -0.0223 to -0.0023", f"{0.0012 * 2 * tasks:.2g}", *names):
        assert part in text
    assert "Summary: runs/polish/summary.md" in lines
    assert "TensorBoard: tensorboard --logdir runs/polish" in lines
