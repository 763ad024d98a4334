"""From the cells of a table to labels of 0 and 1, and to times that can be ordered."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from datamodules.reading import place, read_table


def read_interactions(
    path: Path,
    columns: Mapping[str, str],
    *,
    threshold: float,
    separator: str | None = None,
    header: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Read a table as the columns ``user``, ``item``, ``label`` (0 or 1, float32) and, if asked for, ``time``.

    Args:
        path: The table.
        columns: Columns of the file for ``user``, ``item``, ``rating`` or else ``label``, and optionally ``time``.
        threshold: The rating above which the label is 1.
        separator: As for ``read_table``.
        header: As for ``read_table``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the table cannot be read, lacks a column, or has a cell that is empty or cannot be used.
    """
    table = read_table(path, columns, separator=separator, header=header)
    if "rating" in columns:
        label = labels_from_ratings(table["rating"], path, columns["rating"], threshold)
    else:
        label = labels_from_labels(table["label"], path, columns["label"])
    result = table[["user", "item"]].assign(label=label)
    return result.assign(time=times(table["time"], path, columns["time"])) if "time" in columns else result


def labels_from_labels(cells: pd.Series, path: Path, column: str) -> pd.Series:
    """Return float32 labels from cells that say 0 or 1.

    Raises:
        ValueError: If a cell says something else.
    """
    values = pd.to_numeric(cells, errors="coerce").astype("float64")
    wrong = ~values.isin((0.0, 1.0))
    if wrong.any():
        raise ValueError(
            f"{_first(cells, wrong, path, column)}, which is neither 0 nor 1. "
            "Labels are 0 or 1; for a table of ratings set rating_column instead of label_column"
        )
    return values.astype("float32")


def labels_from_ratings(cells: pd.Series, path: Path, column: str, threshold: float) -> pd.Series:
    """Return float32 labels: 1 where the rating is above the threshold, else 0.

    Raises:
        ValueError: If a cell is not a finite number.
    """
    values = pd.to_numeric(cells, errors="coerce").astype("float64")
    wrong = pd.Series(~np.isfinite(values), index=cells.index)
    if wrong.any():
        raise ValueError(
            f"{_first(cells, wrong, path, column)}, which is no number. Ratings are numbers; correct the cell"
        )
    return (values > threshold).astype("float32")


def times(cells: pd.Series, path: Path, column: str) -> pd.Series:
    """Return times that sort rightly: numbers as they are, text read as ISO 8601 dates.

    Raises:
        ValueError: If a cell is neither.
    """
    if pd.api.types.is_numeric_dtype(cells) or pd.api.types.is_datetime64_any_dtype(cells):
        return cells
    dates = pd.to_datetime(cells, errors="coerce", format="ISO8601", utc=True)
    if dates.isna().any():
        raise ValueError(
            f"{_first(cells, dates.isna(), path, column)}, which is no time. "
            "Times are numbers or ISO 8601 dates such as 2022-04-25 10:30:00"
        )
    return dates


def _first(cells: pd.Series, wrong: pd.Series, path: Path, column: str) -> str:
    line: Any = wrong.idxmax()
    return f"{place(path, line)}: column '{column}' is '{cells[line]}'"
