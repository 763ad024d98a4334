"""Tables of impressions, with errors that name the file and the line."""

from pathlib import Path

import numpy as np
import pandas as pd

from datamodules.arrow_tables import read_arrow
from datamodules.categories import as_categories
from datamodules.cells import refuse_cells
from datamodules.table_columns import Columns
from datamodules.table_errors import refuse_labels

_TIMES = "Times are numbers or ISO 8601 dates such as 2022-04-25 10:30:00"
_EMPTY = "Fill the cell or remove the row"


def read_columns(path: Path, columns: Columns, *, separator: str | None = None) -> pd.DataFrame:
    """Read some columns of a CSV or Parquet table.

    Args:
        path: The table; its suffix ``.parquet`` tells Parquet.
        columns: What to read.
        separator: What separates the fields; None takes it from the first line: tab, semicolon or comma.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be read, has no rows, lacks a column, or has a cell that cannot be used.
    """
    table = read_arrow(path, columns, separator=separator)
    if not len(table):
        raise ValueError(f"{path} has no rows; give a table with at least one impression")
    for name in columns.texts:
        table[name] = _categories(table[name], path)
    for name in columns.keys:
        refuse_cells(table[name].isna(), table[name], path, "is empty", _EMPTY)
    for name in columns.labels:
        refuse_labels(~table[name].isin((0.0, 1.0)), table[name], path)
    for name in columns.numbers:
        refuse_cells(np.isinf(table[name]), table[name], path, "infinite as float32", "Give a finite number or nothing")
    for name in columns.times:
        refuse_cells(table[name].isna(), table[name], path, "is empty", _EMPTY)
        table[name] = _times(table[name], path)
    return table


def _categories(column: pd.Series, path: Path) -> pd.Series:
    try:
        return as_categories(column)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _times(cells: pd.Series, path: Path) -> pd.Series:
    if pd.api.types.is_numeric_dtype(cells) or pd.api.types.is_datetime64_any_dtype(cells):
        return cells
    numbers = pd.to_numeric(cells, errors="coerce")
    if numbers.notna().any():
        refuse_cells(numbers.isna(), cells, path, "no number, while other times are", _TIMES)
        return numbers
    dates = pd.to_datetime(cells, errors="coerce", format="ISO8601", utc=True)
    refuse_cells(dates.isna(), cells, path, "no time", _TIMES)
    return dates
