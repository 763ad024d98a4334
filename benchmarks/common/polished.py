"""What a finished polish says of the session log-loss of a single task."""

from pathlib import Path
from typing import NamedTuple

import pandas as pd


class Gap(NamedTuple):
    """An arm's session log-loss less that of the control, as the report prints it.

    Attributes:
        estimate: The difference.
        interval: Its interval over test sessions and seeds.
        p_value: Two-sided, not adjusted for the number of arms.
    """

    estimate: str
    interval: str
    p_value: str


def session_log_losses(root: Path) -> dict[str, float]:
    """Return every arm's session log-loss on the test rows, the mean over the seeds."""
    results = pd.read_csv(root / "results.csv")
    means = results.groupby("arm", sort=False)["test_session_log_loss"].mean()
    return {str(arm): float(mean) for arm, mean in means.items()}


def session_gaps(root: Path) -> dict[str, Gap]:
    """Return the differences of the arms to the control in ``summary.md``."""
    summary = (root / "summary.md").read_text(encoding="utf-8")
    _, _, section = summary.partition("## Session log-loss less")
    lines = [line for line in section.partition("\n## ")[0].splitlines() if line.startswith("| ")]
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]
    return {arm: Gap(*cells[:3]) for arm, *cells in rows}
