"""Tables of interactions from CSV and Parquet files, with errors that name the file and the line."""

import difflib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import pandas as pd
from pyarrow.parquet import read_schema

from datamodules.layout import missing_file
from lightning_modules.progress import working

_SEPARATORS = ("\t", "::", ";", ",")
_IDS = ("user", "item")

Ids = TypeVar("Ids", pd.Series, pd.Index)


def read_table(
    path: Path, columns: Mapping[str, str], *, separator: str | None = None, header: Sequence[str] | None = None
) -> pd.DataFrame:
    """Read the named columns of a CSV or Parquet table; user and item ids are kept as the text they are.

    Args:
        path: The table; its suffix ``.parquet`` tells Parquet.
        columns: Column of the file for every column of the result, such as ``{"user": "uid"}``.
        separator: What separates the fields; None takes it from the first line: tab, ``::``, semicolon or comma.
        header: The column names of a file that does not begin with them.

    Returns:
        Frame with the keys of ``columns``, whose index holds the rows' line numbers (Parquet: row numbers from 1).

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be read, has no rows, lacks a column, or a cell is empty.
    """
    if not path.is_file():
        raise missing_file(path)
    is_parquet = path.suffix.lower() == ".parquet"
    with working(f"reading {path.name}"):
        table = _read_parquet(path, columns) if is_parquet else _read_text(path, columns, separator, header)
    table = table[list(columns.values())].set_axis(list(columns), axis=1)
    first = 1 if is_parquet or header is not None else 2
    table = _without_blank_end(table.set_axis(pd.RangeIndex(first, first + len(table)), axis=0))
    if table.empty:
        raise ValueError(f"{path} has no rows; give a table with at least one interaction")
    _refuse_empty_cells(table, path, columns)
    return table


def exact_integer_ids(tables: Sequence[pd.DataFrame]) -> list[pd.DataFrame]:
    """Turn text ids into integers where every id of all tables is the decimal text of one (``7``, not ``007``)."""
    results = [table.copy(deep=False) for table in tables]
    for name in _IDS:
        integers = [exact_integers(table[name]) for table in tables]
        for result, column in zip(results, integers, strict=True):
            if all(known is not None for known in integers):
                result[name] = column
    return results


def exact_integers(ids: Ids) -> Ids | None:
    """Return ids [n] as int64 if every one is the decimal text of an integer, else None."""
    try:
        integers = ids.astype("int64")
    except (ValueError, OverflowError):
        return None
    return integers if (integers.astype(str) == ids.astype(str)).all() else None


def place(path: Path, line: object) -> str:
    """Return the file and line as they are named in errors."""
    return f"{path}, {'row' if path.suffix.lower() == '.parquet' else 'line'} {line}"


def inferred_separator(content: bytes, among: Sequence[str] = _SEPARATORS) -> str:
    """Return the separator that the first line of a file holds most often."""
    line = content.split(b"\n", 1)[0].decode(errors="replace")
    return max(among, key=line.count)


def missing_column(
    column: str, present: Sequence[str], path: Path, *, free: Sequence[str], remedy: str, detail: str = ""
) -> ValueError:
    """Return the error for a missing column, which suggests the closest of the ``free`` ones."""
    folded = {other.lower(): other for other in free}
    close = difflib.get_close_matches(column.lower(), folded, n=1, cutoff=0.5)
    hint = f" Did you mean '{folded[close[0]]}'?" if close else ""
    columns = ", ".join(map(repr, present))
    return ValueError(f"{path} has no column '{column}'; its columns are {columns}{detail}.{hint} {remedy}")


def _read_parquet(path: Path, columns: Mapping[str, str]) -> pd.DataFrame:
    try:
        names = read_schema(path).names
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read as Parquet: {error}") from error
    _refuse_missing_columns(names, path, columns, "")
    table = pd.read_parquet(path, columns=list(columns.values()))
    ids = {columns[name]: _as_text(table[columns[name]]) for name in _IDS if name in columns}
    return table.assign(**ids)


def _read_text(
    path: Path, columns: Mapping[str, str], separator: str | None, header: Sequence[str] | None
) -> pd.DataFrame:
    content = path.read_bytes()
    separator = inferred_separator(content) if separator is None else separator
    one_byte = separator
    if len(separator) > 1:
        # pandas' fast parser knows separators of one byte only; this one stands for "unit" in ASCII itself.
        content, one_byte = content.replace(separator.encode(), b"\x1f"), "\x1f"
    try:
        names = list(header) if header else pd.read_csv(io.BytesIO(content), sep=one_byte, nrows=0).columns.tolist()
        _refuse_missing_columns(names, path, columns, f" (separated by {separator!r})")
        return _parse_text(content, columns, one_byte, names, has_header=not header)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read as a table of UTF-8 text: {error}") from error


def _parse_text(
    content: bytes, columns: Mapping[str, str], separator: str, names: list[str], *, has_header: bool
) -> pd.DataFrame:
    return pd.read_csv(
        io.BytesIO(content),
        sep=separator,
        names=names,
        header=0 if has_header else None,
        usecols=list(columns.values()),
        dtype={columns[name]: str for name in _IDS if name in columns},
        index_col=False,
        keep_default_na=False,
        na_values=[""],
        skip_blank_lines=False,
        low_memory=False,
    )


def _refuse_missing_columns(present: list[str], path: Path, columns: Mapping[str, str], detail: str) -> None:
    for name, column in columns.items():
        if column not in present:
            also = ", or rating_column if the table has ratings instead" if name == "label" else ""
            remedy = f"Set {name}_column to the right one{also}"
            free = [other for other in present if other not in columns.values()]
            raise missing_column(column, present, path, free=free, detail=detail, remedy=remedy)


def _without_blank_end(table: pd.DataFrame) -> pd.DataFrame:
    if table.empty or not table.iloc[-1].isna().all():
        return table
    filled = table.notna().any(axis=1)
    return table.loc[: filled[filled].index.max()] if filled.any() else table.iloc[:0]


def _refuse_empty_cells(table: pd.DataFrame, path: Path, columns: Mapping[str, str]) -> None:
    for name in table.columns:
        empty = table[name].isna()
        if empty.any():
            raise ValueError(
                f"{place(path, empty.idxmax())}: column '{columns[name]}' is empty ({int(empty.sum())} such rows). "
                "Fill the cells or remove the rows"
            )


def _as_text(ids: pd.Series) -> pd.Series:
    return ids.astype(str).where(ids.notna())
