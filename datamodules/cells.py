"""Errors for the cells of a table that cannot be used."""

from itertools import islice
from pathlib import Path

import pandas as pd

from datamodules.reading import place


def refuse_cells(wrong: pd.Series, cells: pd.Series, path: Path, what: str, remedy: str) -> None:
    """Refuse the cells of a column that are wrong.

    Args:
        wrong: Whether each cell is wrong, [n].
        cells: All cells of the column, [n].
        path: The table that they come from.
        what: What is wrong with such a cell, unless it is empty.
        remedy: What to do.

    Raises:
        ValueError: If a cell is wrong; names the first by file and line.
    """
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        value = cells.iloc[row]
        said = "is empty" if pd.isna(value) else f"is '{value}', which is {what}"
        raise ValueError(f"{line_of(path, row)}: column '{cells.name}' {said} ({int(wrong.sum())} such rows). {remedy}")


def line_of(path: Path, row: int) -> str:
    """Return the file and line of a row, counted from 0, as they are named in errors."""
    if path.suffix.lower() == ".parquet":
        return place(path, row + 1)
    # Blank lines are no rows; the header is the first line that is not blank.
    with path.open(encoding="utf-8", errors="replace") as lines:
        filled = (number for number, line in enumerate(lines, start=1) if line.strip("\r\n"))
        return place(path, next(islice(filled, row + 1, None)))
