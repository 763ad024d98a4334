"""The columns that are read of a table, and errors for missing columns and wrong cells."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
from pyarrow import compute

from lightning_modules.utilities.messages import listed, shortened

_MOST_COLUMNS = 20
_SINGLE_COLUMN = "Only one column was found: name the separator that the table has, or write it with commas"
_ELSEWHERE = "Correct the name where the data's options give it"


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of a table to read, and as what.

    Attributes:
        keys: Ids of sessions, users, items; none may be missing. Read as categories.
        categories: Read as categories.
        numbers: Read as float32, missing ones as nan.
        labels: 0 or 1, read as float32.
        ratings: Finite numbers, read as float64; none may be missing.
        times: Numbers or ISO 8601 dates; none may be missing.
        hints: For some columns what to do where they are missing or hold something else, a sentence without its stop.
    """

    keys: Sequence[str] = ()
    categories: Sequence[str] = ()
    numbers: Sequence[str] = ()
    labels: Sequence[str] = ()
    ratings: Sequence[str] = ()
    times: Sequence[str] = ()
    hints: Mapping[str, str] = field(default_factory=dict)

    @property
    def texts(self) -> list[str]:
        """The columns that are read as categories."""
        return list(dict.fromkeys([*self.keys, *self.categories]))

    @property
    def floats(self) -> list[str]:
        """The columns that are read as floating-point numbers."""
        return [*self.numbers, *self.labels, *self.ratings]

    def names(self) -> list[str]:
        """Return all columns.

        Raises:
            ValueError: If one is to be read as two things.
        """
        names = [*self.texts, *self.floats, *self.times]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"column '{name}' is named for two uses that exclude each other; name it for one")
        return names


class TablePart(Protocol):
    """A file that is a table or a part of one."""

    path: Path

    def cell(self, row: int, name: str) -> tuple[str, str]:
        """Return where a cell stands and what it says; rows are counted from 0."""


def refuse_columns(columns: Columns, present: Sequence[str], path: Path, separator: str | None) -> None:
    """Refuse a table that has not every wanted column exactly once.

    Args:
        columns: The columns to read.
        present: The columns that there are.
        path: The table.
        separator: What separates the fields of a CSV table; None if it is Parquet.

    Raises:
        ValueError: If a column is missing, or is there several times, or is to be read as two things.
    """
    wanted = columns.names()
    for name in wanted:
        if name not in present:
            free = [other for other in present if other not in wanted]
            one = separator is not None and len(present) == 1
            remedy = _SINGLE_COLUMN if one else columns.hints.get(name, _ELSEWHERE)
            detail = "" if separator is None else f" (separated by {separator!r})"
            raise missing_column(name, present, path, free=free, detail=detail, remedy=remedy)
        if present.count(name) > 1:
            raise ValueError(f"{path} has {present.count(name)} columns '{name}'; give them different names")


def missing_column(
    column: str, present: Sequence[str], path: Path, *, free: Sequence[str], remedy: str, detail: str = ""
) -> ValueError:
    """Return the error for a missing column, which suggests the closest of the ``free`` ones."""
    folded = {other.lower(): other for other in free}
    close = difflib.get_close_matches(column.lower(), folded, n=1, cutoff=0.5)
    hint = f" Did you mean '{shortened(folded[close[0]])}'?" if close else ""
    columns = listed([f"'{shortened(name)}'" for name in present], _MOST_COLUMNS, ", ")
    return ValueError(f"{path} has no column '{column}'; its columns are {columns}{detail}.{hint} {remedy}")


def refuse_cells(wrong: Any, part: TablePart, name: str, what: str, remedy: str) -> None:
    """Refuse the cells of a column that are wrong.

    Args:
        wrong: Whether each cell is wrong, an Arrow array of [n] truth values.
        part: The file that they come from.
        name: The column.
        what: What such a cell is, unless it is empty.
        remedy: What to do.

    Raises:
        ValueError: If a cell is wrong; names the first by file, line and what it says.
    """
    count = compute.sum(wrong).as_py() or 0
    if count:
        where, text = part.cell(compute.index(wrong, pa.scalar(value=True)).as_py(), name)
        said = f"is '{shortened(text)}', which is {what}" if text else "is empty"
        raise ValueError(f"{where}: column '{name}' {said} ({count} such rows). {remedy}")
