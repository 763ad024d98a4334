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


def cells(result: LossResult) -> list[str]:
    """Return one row of the table."""
    difference = result.difference
    outcome = ", ".join(sorted(set(result.runs["status"]) - {"trained"}))
    return [
        short(result.loss.label),
        outcome or _with_error(result, "val_auc", result.mean("val_auc_se")),
        _with_error(result, "test_auc", result.standard_error),
        _mean_and_spread(result, "test_log_loss") if result.proper else "-",
        _number(difference.estimate, "+.4f"),
        "-" if math.isnan(difference.low) else f"{difference.low:+.4f} to {difference.high:+.4f}",
        _number(result.p_value, ".2g"),
        f"{result.setting.learning_rate:g}",
        f"{result.setting.weight_decay:g}",
    ]


def narrow_cells(result: LossResult) -> list[str]:
    """Return one row of the table for a terminal, with errors and intervals on second lines."""
    name, validation, test, log_loss, difference, interval, p_value, *_ = cells(result)
    two_lines = [text.replace(" (", "\n(se ") for text in (validation, test)]
    gap = difference if interval == "-" else f"{difference}\n{interval}"
    # Without the zero before the point the numbers fit.
    numbers = [re.sub(r"(?<!\d)0\.", ".", text) for text in (*two_lines, log_loss, gap, p_value)]
    return [name, *numbers]


def numbers(results: Sequence[LossResult]) -> pd.DataFrame:
    """Return the table as numbers, one row a loss."""
    return pd.DataFrame([_numbers(result) for result in results])


def _numbers(result: LossResult) -> dict[str, object]:
    difference = result.difference
    means = {name: result.mean(name) for name in ("val_auc", "test_auc", "test_log_loss")}
    spreads = {f"{name}_sd": result.spread(name) for name in means}
    return {
        "loss": result.loss.title,
        "label": result.loss.label,
        "group": result.loss.group,
        "seeds": len(result.runs),
        "broken_seeds": len(result.broken_seeds),
        "learning_rate": result.setting.learning_rate,
        "weight_decay": result.setting.weight_decay,
        "proper": result.proper,
        **means,
        **spreads,
        "val_auc_se": result.mean("val_auc_se"),
        "test_auc_se": result.standard_error,
        "difference": difference.estimate,
        "low": difference.low,
        "high": difference.high,
        "difference_se": difference.standard_error,
        "p_value": difference.p_value,
        "p_holm": result.p_value,
    }


def _with_error(result: LossResult, column: str, error: float) -> str:
    text = _mean_and_spread(result, column)
    return text if math.isnan(error) else f"{text} ({error:.4f})"


def _mean_and_spread(result: LossResult, column: str) -> str:
    mean, spread = result.mean(column), result.spread(column)
    if math.isnan(mean):
        return "-"
    return f"{mean:.4f}" if math.isnan(spread) else f"{mean:.4f} ± {spread:.4f}"


def _number(value: float, form: str = ".4f") -> str:
    return "-" if math.isnan(value) else format(value, form)
