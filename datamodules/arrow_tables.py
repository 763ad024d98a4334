"""CSV and Parquet tables through Arrow: only the columns that are needed, in the smallest types."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import csv
from pyarrow.parquet import ParquetFile

from datamodules.cells import refuse_cells
from datamodules.layout import missing_file
from datamodules.reading import inferred_separator, missing_column

_SEPARATORS = ("\t", ";", ",")
_BLOCK_BYTES = 4 << 20
_HEAD_BYTES = 1 << 16
_ARROW_TEXT = pd.StringDtype("pyarrow")
_TEXT = pa.dictionary(pa.int32(), pa.string())


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of a table to read, and as what.

    Attributes:
        keys: Ids of sessions, users, items; none may be missing. Read as categories.
        categories: Read as categories.
        numbers: Read as float32, missing ones as nan.
        labels: 0 or 1, read as float32.
        times: Numbers or ISO 8601 dates; none may be missing.
    """

    keys: Sequence[str] = ()
    categories: Sequence[str] = ()
    numbers: Sequence[str] = ()
    labels: Sequence[str] = ()
    times: Sequence[str] = ()

    @property
    def texts(self) -> list[str]:
        """The columns that are read as categories."""
        return list(dict.fromkeys([*self.keys, *self.categories]))

    @property
    def floats(self) -> list[str]:
        """The columns that are read as float32."""
        return [*self.numbers, *self.labels]

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


def read_arrow(path: Path, columns: Columns, *, separator: str | None = None) -> pd.DataFrame:
    """Read some columns of a table: texts as categories, floats as float32, times as they are.

    Args:
        path: The table; its suffix ``.parquet`` tells Parquet.
        columns: What to read.
        separator: What separates the fields; None takes it from the first line: tab, semicolon or comma.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be read, lacks a column, or a cell that ought to be a number is none.
    """
    present = column_names(path, separator=separator)
    separator = None if _is_parquet(path) else separator or _separator(path)
    _refuse_missing(columns, present, path, "" if separator is None else f" (separated by {separator!r})")
    return _read_parquet(path, columns) if separator is None else _read_csv(path, columns, separator)


def column_names(path: Path, *, separator: str | None = None) -> list[str]:
    """Return the columns of a CSV or Parquet table.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be read.
    """
    if not path.is_file():
        raise missing_file(path)
    try:
        if _is_parquet(path):
            return ParquetFile(path).schema_arrow.names
        return pd.read_csv(path, sep=separator or _separator(path), nrows=0).columns.tolist()
    except (pa.ArrowInvalid, pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError, OSError) as error:
        raise _unreadable(path, error) from error


def _read_csv(path: Path, columns: Columns, separator: str) -> pd.DataFrame:
    types = dict.fromkeys(columns.texts, _TEXT) | dict.fromkeys(columns.floats, pa.float32())
    # The times of the first block may not be like the others; then Arrow has to infer their type from all of them.
    with suppress(pa.ArrowInvalid):
        return _frame(_parse(path, columns.names(), types | _types_of_times(path, columns, separator), separator))
    try:
        return _frame(_parse(path, columns.names(), types, separator))
    except pa.ArrowInvalid as error:
        _refuse_words(path, columns, separator, error)
        raise _unreadable(path, error) from error


def _types_of_times(path: Path, columns: Columns, separator: str) -> dict[str, pa.DataType]:
    """Return the types that the first block suggests: a type left open makes Arrow keep all text of the file."""
    if not columns.times:
        return {}
    convert = csv.ConvertOptions(include_columns=columns.times, null_values=[""])
    with csv.open_csv(path, parse_options=csv.ParseOptions(delimiter=separator), convert_options=convert) as batches:
        return {field.name: field.type for field in batches.schema}


def _parse(path: Path, names: list[str], types: dict[str, pa.DataType], separator: str) -> pa.Table:
    return csv.read_csv(
        path,
        read_options=csv.ReadOptions(block_size=_BLOCK_BYTES),
        parse_options=csv.ParseOptions(delimiter=separator),
        convert_options=csv.ConvertOptions(
            include_columns=names, column_types=types, null_values=[""], strings_can_be_null=True
        ),
    )


def _read_parquet(path: Path, columns: Columns) -> pd.DataFrame:
    try:
        table = ParquetFile(path, read_dictionary=columns.texts).read(columns=columns.names())
        for place, name in enumerate(table.column_names):
            if name in columns.floats:
                table = table.set_column(place, name, table[name].cast(pa.float32(), safe=False))
            elif name in columns.texts and not pa.types.is_dictionary(table[name].type):
                table = table.set_column(place, name, table[name].dictionary_encode())
        return _frame(table)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise _unreadable(path, error) from error


def _frame(table: pa.Table) -> pd.DataFrame:
    columns = dict(zip(table.column_names, table.columns, strict=True))
    del table
    # Each Arrow column is let go before the next is converted.
    frame = pd.DataFrame({name: _converted(columns.pop(name)) for name in list(columns)}, copy=False)
    pa.default_memory_pool().release_unused()
    return frame


def _converted(column: pa.ChunkedArray) -> Any:
    if not pa.types.is_dictionary(column.type):
        return column.to_pandas(date_as_object=False)
    chunks = column.unify_dictionaries().chunks
    codes = [chunk.indices.fill_null(-1).to_numpy(zero_copy_only=False) for chunk in chunks]
    # The texts stay in Arrow's memory: as Python objects they would be most of a table with many ids.
    texts = pd.array(chunks[0].dictionary.cast(pa.string()), dtype=_ARROW_TEXT) if chunks else []
    return pd.Categorical.from_codes(np.concatenate(codes) if codes else [], pd.Index(texts))


def _refuse_words(path: Path, columns: Columns, separator: str, error: pa.ArrowInvalid) -> None:
    if "conversion error" not in str(error):
        return
    for name in columns.floats:
        cells = _frame(_parse(path, [name], {name: pa.string()}, separator))[name]
        words = pd.to_numeric(cells, errors="coerce").isna() & cells.notna()
        if name in columns.labels:
            refuse_cells(words, cells, path, "neither 0 nor 1", "Labels are 0 or 1")
        refuse_cells(words, cells, path, "no number", "Correct the cell, or list the column under the categorical ones")


def _refuse_missing(columns: Columns, present: list[str], path: Path, detail: str) -> None:
    names = columns.names()
    for name in names:
        if name not in present:
            free = [other for other in present if other not in names]
            remedy = "Correct the name where the data's options give it"
            raise missing_column(name, present, path, free=free, detail=detail, remedy=remedy)


def _separator(path: Path) -> str:
    with path.open("rb") as file:
        return inferred_separator(file.read(_HEAD_BYTES), _SEPARATORS)


def _is_parquet(path: Path) -> bool:
    return path.suffix.lower() == ".parquet"


def _unreadable(path: Path, error: Exception) -> ValueError:
    return ValueError(f"{path} cannot be read as a table of UTF-8 text or Parquet: {error}")
