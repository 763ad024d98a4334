"""The table of a comparison, as text for the terminal and for summary.md, and as numbers."""

import math
from collections.abc import Sequence
from contextlib import suppress

import pandas as pd

from lightning_modules.check.sources import as_json
from lightning_modules.compare.criteria import Criterion
from lightning_modules.compare.results import LossResult
from lightning_modules.statistics.significance import Difference
from lightning_modules.utilities.markdown import short


def header(results: Sequence[LossResult]) -> list[str]:
    """Return the names of the columns of the table."""
    criterion = results[0].criterion
    return [
        "loss",
        f"validation {criterion.title} ± sd (se)",
        f"test {criterion.title} ± sd (se)",
        f"test {criterion.beside_title} ± sd",
        "difference",
        "interval",
        "p (Holm)",
        "learning rate",
        "weight decay",
        *_options(results),
    ]


def screen_header(criterion: Criterion) -> list[str]:
    """Return the names of the columns of the table for a terminal; a narrow one shows the first figures alone."""
    validation, beside = f"validation {criterion.title} ± sd (se)", f"{criterion.beside_title} ± sd"
    return [f"test {criterion.title}", "difference", "interval", "p (Holm)", "± sd (se)", validation, beside, "loss"]


def cells(results: Sequence[LossResult]) -> list[list[str]]:
    """Return the rows of the table."""
    options = _options(results)
    return [_cells(result, options) for result in results]


def _options(results: Sequence[LossResult]) -> list[str]:
    """Return the names of the losses' options that were tuned."""
    return list(dict.fromkeys(name for result in results for name, _ in result.setting.options))


def _cells(result: LossResult, options: Sequence[str]) -> list[str]:
    criterion = result.criterion
    validation, test = (f"{split}_{criterion.metric}" for split in ("val", "test"))
    outcome = ", ".join(sorted(set(result.runs["status"]) - {"trained"}))
    own = dict(result.setting.options)
    return [
        short(result.loss.label),
        outcome or _with_error(result, validation, result.mean(f"{validation}_se")),
        _with_error(result, test, result.standard_error),
        _mean_and_spread(result, f"test_{criterion.beside}") if result.shows_beside else "-",
        *_difference_cells(result.difference, result.p_value),
        f"{result.setting.learning_rate:g}",
        f"{result.setting.weight_decay:g}",
        *(f"{own[name]:g}" if name in own else "-" for name in options),
    ]


def screen_cells(results: Sequence[LossResult]) -> list[list[str]]:
    """Return the rows of the table for a terminal, whose names are whole."""
    return [_screen_cells(row, result.loss.label) for row, result in zip(cells(results), results, strict=True)]


def _screen_cells(row: Sequence[str], name: str) -> list[str]:
    _, validation, test, beside, difference, interval, p_value, *_ = row
    mean, _, errors = test.partition(" ")
    if mean == "-":
        # Its outcome.
        mean, validation = validation, "-"
    return [mean, difference, interval, p_value, errors, validation, beside, name]


def part_header() -> list[str]:
    """Return the names of the columns of the table of the metrics that the criterion is made of."""
    return ["loss", "metric", "test ± sd (se)", "difference", "interval", "p (Holm)"]


def part_cells(results: Sequence[LossResult]) -> list[list[str]]:
    """Return its rows, those of one metric after those of another; none where there are no parts or it is the only."""
    titles = results[0].criterion.parts
    if len(titles) < 2:
        return []
    rows = ((name, title, result) for name, title in titles.items() for result in results)
    return [[short(result.loss.label), title, *_part_figures(name, result)] for name, title, result in rows]


def _part_figures(name: str, result: LossResult) -> list[str]:
    part = result.parts[name]
    test = _with_error(result, f"test_{name}", part.standard_error)
    return [test, *_difference_cells(part.difference, part.p_value)]


def _difference_cells(difference: Difference, p_value: float) -> list[str]:
    interval = "-" if math.isnan(difference.low) else f"{difference.low:+.4f} to {difference.high:+.4f}"
    return [_number(difference.estimate, "+.4f"), interval, _number(p_value, ".2g")]


def numbers(results: Sequence[LossResult]) -> pd.DataFrame:
    """Return the table as numbers, one row a loss."""
    return pd.DataFrame([_numbers(result) for result in results])


def _numbers(result: LossResult) -> dict[str, object]:
    difference, criterion = result.difference, result.criterion
    validation, test = (f"{split}_{criterion.metric}" for split in ("val", "test"))
    means = {name: result.mean(name) for name in (validation, test, f"test_{criterion.beside}")}
    spreads = {f"{name}_sd": result.spread(name) for name in means}
    return {
        "loss": result.loss.title,
        "label": result.loss.label,
        "group": result.loss.group,
        "seeds": len(result.runs),
        "broken_seeds": len(result.broken_seeds),
        "learning_rate": result.setting.learning_rate,
        "weight_decay": result.setting.weight_decay,
        **dict(result.setting.options),
        "proper": result.proper,
        **means,
        **spreads,
        f"{validation}_se": result.mean(f"{validation}_se"),
        f"{test}_se": result.standard_error,
        "difference": difference.estimate,
        "low": difference.low,
        "high": difference.high,
        "difference_se": difference.standard_error,
        "p_value": difference.p_value,
        "p_holm": result.p_value,
        **{column: value for name in result.parts for column, value in _part_numbers(name, result).items()},
        "spec": _spec(result),
    }


def _spec(result: LossResult) -> str:
    """Return the loss as it was trained, with the options that were chosen for it, as an option takes it."""
    # A class of one's own may have arguments that no text stands for, or not keep them.
    with suppress(TypeError, AttributeError):
        return as_json(result.setting.of_loss(result.loss.loss))
    return ""


def _part_numbers(name: str, result: LossResult) -> dict[str, float]:
    part, test = result.parts[name], f"test_{name}"
    return {
        test: result.mean(test),
        f"{test}_sd": result.spread(test),
        f"{test}_se": part.standard_error,
        f"{name}_difference": part.difference.estimate,
        f"{name}_low": part.difference.low,
        f"{name}_high": part.difference.high,
        f"{name}_p_holm": part.p_value,
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
