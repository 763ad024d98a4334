"""Errors for tables that cannot be read: what is wrong, where, and what to do."""

import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from datamodules.cells import line_of, refuse_cells
from datamodules.reading import missing_column, place

_LONGEST = 200
_ROW = re.compile(r"(?:In CSV column #(?P<column>\d+): |CSV parse error: )Row #(?P<row>\d+): (?P<what>.*)")
_SINGLE_COLUMN = "Only one column was found: name the separator that the table has, or write it with commas"


def refuse_columns(wanted: Sequence[str], present: Sequence[str], path: Path, separator: str | None) -> None:
    """Refuse a table that has not every wanted column exactly once.

    Args:
        wanted: The columns to read.
        present: The columns that there are.
        path: The table.
        separator: What separates the fields of a CSV table; None if it is Parquet.

    Raises:
        ValueError: If a column is missing or there are several of its name.
    """
    for name in wanted:
        if name not in present:
            free = [other for other in present if other not in wanted]
            one = separator is not None and len(present) == 1
            remedy = _SINGLE_COLUMN if one else "Correct the name where the data's options give it"
            detail = "" if separator is None else f" (separated by {separator!r})"
            raise missing_column(name, present, path, free=free, detail=detail, remedy=remedy)
        if present.count(name) > 1:
            raise ValueError(f"{path} has {present.count(name)} columns '{name}'; give them different names")


def refuse_words(cells: pd.Series, path: Path, *, is_label: bool) -> None:
    """Refuse a column of text, which ought to be numbers, if a cell is neither a number nor empty.

    Raises:
        ValueError: If a cell is; names the first.
    """
    words = pd.to_numeric(cells, errors="coerce").isna() & cells.notna()
    if is_label:
        refuse_labels(words, cells, path)
    refuse_cells(words, cells, path, "no number", "Correct the cell, or list the column under the categorical ones")


def refuse_labels(wrong: pd.Series, cells: pd.Series, path: Path) -> None:
    """Refuse labels that are neither 0 nor 1.

    Raises:
        ValueError: If ``wrong`` says so of a cell; names the first.
    """
    refuse_cells(wrong, cells, path, "neither 0 nor 1", "Labels are 0 or 1: correct the cells or remove the rows")


def unreadable(path: Path, error: Exception, columns: Sequence[str] = ()) -> ValueError:
    """Return the error for a table that could not be read, with the line where that is known.

    Args:
        path: The table.
        error: What Arrow or pandas say of it.
        columns: The columns of the table, as far as they are known.
    """
    if isinstance(error, pd.errors.EmptyDataError):
        return ValueError(f"{path} is empty; give a table with the names of the columns and at least one row")
    if isinstance(error, UnicodeDecodeError) or "UTF8" in str(error):
        where = place(path, _line_that_is_not_utf8(path))
        return ValueError(f"{where} is not UTF-8, as a CSV table has to be; save the table in that encoding")
    found = _ROW.search(str(error))
    if found is None:
        return ValueError(f"{path} cannot be read as a table of UTF-8 text or Parquet: {str(error)[:_LONGEST]}")
    # Arrow counts the header as the first row.
    where, what = line_of(path, int(found["row"]) - 2), found["what"][:_LONGEST]
    if found["column"] is None:
        return ValueError(f"{where}: {what}. Give every line as many fields as the header, with quotes where needed")
    name = columns[int(found["column"])] if columns else f"number {int(found['column']) + 1}"
    return ValueError(f"{where}: column '{name}' cannot be read: {what}. Correct the cell")


def _line_that_is_not_utf8(path: Path) -> int:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return number
    return number
