"""The differences of a polish as a table of numbers and as pictures."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from lightning_modules.statistics.interval_figure import PlottedDifference, intervals_figure
from lightning_modules.statistics.significance import Difference, holm

#: Name of the table inside the folder of a polish.
DIFFERENCES_NAME = "differences.csv"
#: Metrics whose differences are tested, their titles, and whether more of them is better.
TESTED: Mapping[str, str] = {"auc": "AUC", "session_log_loss": "session log-loss"}
_BETTER: Mapping[str, str] = {"auc": "right", "session_log_loss": "left"}


def differences_table(differences: Mapping[tuple[str, str], Difference]) -> pd.DataFrame:
    """Return a row for every arm, metric and task; p-values are adjusted within a metric.

    Args:
        differences: The differences to the control, by arm and metric, such as ``auc/click``.
    """
    rows = []
    for metric in TESTED:
        found = {key: each for key, each in differences.items() if key[1].startswith(f"{metric}/")}
        adjusted = holm([each.p_value for each in found.values()])
        for ((arm, name), each), p_holm in zip(found.items(), adjusted, strict=True):
            rows.append(
                {
                    "arm": arm,
                    "metric": metric,
                    "task": name.removeprefix(f"{metric}/"),
                    "difference": each.estimate,
                    "low": each.low,
                    "high": each.high,
                    "difference_se": each.standard_error,
                    "p_value": each.p_value,
                    "p_holm": p_holm,
                }
            )
    return pd.DataFrame(rows)


def differences_figure(table: pd.DataFrame, metric: str, control: str, basis: str) -> Figure:
    """Draw the differences of a metric from the control: an interval an arm and task.

    Args:
        table: As :func:`differences_table` returns it.
        metric: The metric, one of :data:`TESTED`.
        control: Name of the control.
        basis: What the intervals are, in words.
    """
    rows = table[table["metric"] == metric]
    title = f"Test {TESTED[metric]} of each arm, beside '{control}': better to the {_BETTER[metric]} of the line"
    drawn = [
        PlottedDifference(str(row.arm), float(row.difference), float(row.low), float(row.high), str(row.task))
        for row in rows.itertuples()
    ]
    quantity = f"test {TESTED[metric]} less that of '{control}'"
    return intervals_figure(drawn, title=title, quantity=quantity, baseline=control, basis=basis)
