"""The table of a comparison, as text for the terminal and for summary.md, and as numbers."""

import math
import re
from collections.abc import Sequence

import pandas as pd

from lightning_modules.compare.results import LossResult
from lightning_modules.utilities.markdown import short

HEADER = [
    "loss",
    "validation AUC ± sd (se)",
    "test AUC ± sd (se)",
    "test log-loss ± sd",
    "difference",
    "interval",
    "p (Holm)",
    "learning rate",
    "weight decay",
]
NARROW_HEADER = ["loss", "validation AUC", "test AUC", "log-loss", "difference", "p (Holm)"]


def cells(standing: LossResult) -> list[str]:
    """Return one row of the table."""
    difference = standing.difference
    outcome = ", ".join(sorted(set(standing.runs["status"]) - {"trained"}))
    return [
        short(standing.entrant.label),
        outcome or _with_error(standing, "val_auc", standing.mean("val_auc_se")),
        _with_error(standing, "test_auc", standing.standard_error),
        _mean_and_spread(standing, "test_log_loss") if standing.proper else "-",
        _number(difference.estimate, "+.4f"),
        "-" if math.isnan(difference.low) else f"{difference.low:+.4f} to {difference.high:+.4f}",
        _number(standing.p_value, ".2g"),
        f"{standing.setting.learning_rate:g}",
        f"{standing.setting.weight_decay:g}",
    ]


def narrow_cells(standing: LossResult) -> list[str]:
    """Return one row of the table for a terminal, with second lines in place of columns."""
    name, validation, test, log_loss, difference, interval, p_value, *_ = cells(standing)
    two_lines = [text.replace(" (", "\n(se ") for text in (validation, test)]
    gap = difference if interval == "-" else f"{difference}\n{interval}"
    # Without the zero before the point there is room for them.
    numbers = [re.sub(r"(?<!\d)0\.", ".", text) for text in (*two_lines, log_loss, gap, p_value)]
    return [name, *numbers]


def numbers(standings: Sequence[LossResult]) -> pd.DataFrame:
    """Return the table as numbers, one row a loss."""
    return pd.DataFrame([_numbers(standing) for standing in standings])


def _numbers(standing: LossResult) -> dict[str, object]:
    difference = standing.difference
    means = {name: standing.mean(name) for name in ("val_auc", "test_auc", "test_log_loss")}
    spreads = {f"{name}_sd": standing.spread(name) for name in means}
    return {
        "loss": standing.entrant.title,
        "label": standing.entrant.label,
        "group": standing.entrant.group,
        "seeds": len(standing.runs),
        "broken_seeds": len(standing.broken_seeds),
        "learning_rate": standing.setting.learning_rate,
        "weight_decay": standing.setting.weight_decay,
        "proper": standing.proper,
        **means,
        **spreads,
        "val_auc_se": standing.mean("val_auc_se"),
        "test_auc_se": standing.standard_error,
        "difference": difference.estimate,
        "low": difference.low,
        "high": difference.high,
        "difference_se": difference.standard_error,
        "p_value": difference.p_value,
        "p_holm": standing.p_value,
    }


def _with_error(standing: LossResult, column: str, error: float) -> str:
    text = _mean_and_spread(standing, column)
    return text if math.isnan(error) else f"{text} ({error:.4f})"


def _mean_and_spread(standing: LossResult, column: str) -> str:
    mean, spread = standing.mean(column), standing.spread(column)
    if math.isnan(mean):
        return "-"
    return f"{mean:.4f}" if math.isnan(spread) else f"{mean:.4f} ± {spread:.4f}"


def _number(value: float, form: str = ".4f") -> str:
    return "-" if math.isnan(value) else format(value, form)
