"""CSV and Parquet tables through Arrow: only the columns that are needed, in the smallest types."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from pyarrow import csv
from pyarrow.parquet import ParquetFile

from datamodules.arrow_frames import take_columns, to_frame
from datamodules.layout import missing_file
from datamodules.parquet_tables import read_parquet
from datamodules.reading import inferred_separator
from datamodules.table_columns import Columns
from datamodules.table_errors import refuse_columns, refuse_words, unreadable
from lightning_modules.progress import working

_SEPARATORS = ("\t", ";", ",")
_BLOCK_BYTES = 4 << 20
_HEAD_BYTES = 1 << 16
_TEXT = pa.dictionary(pa.int32(), pa.string())


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
    refuse_columns(columns.names(), present, path, separator)
    with working(f"reading {path.name}"):
        return read_parquet(path, columns) if separator is None else _read_csv(path, columns, separator)


def column_names(path: Path, *, separator: str | None = None) -> list[str]:
    """Return the columns of a CSV or Parquet table as it names them, one twice if it does.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be read, or the separator is not one ASCII character.
    """
    if not path.is_file():
        raise missing_file(path)
    if separator and not (len(separator) == 1 and separator.isascii()):
        raise ValueError(
            f"the separator {separator!r} is not one ASCII character; give one, or leave the option out: tab, "
            "semicolon and comma are recognised"
        )
    try:
        if _is_parquet(path):
            return list(ParquetFile(path).schema_arrow.names)
        # Read as a row: as a header pandas would give two columns of one name different ones.
        options: dict[str, Any] = {"header": None, "nrows": 1, "dtype": str, "keep_default_na": False}
        return list(pd.read_csv(path, sep=separator or _separator(path), **options).iloc[0])
    except (pa.ArrowInvalid, pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError, OSError) as error:
        raise unreadable(path, error) from error


def _read_csv(path: Path, columns: Columns, separator: str) -> pd.DataFrame:
    types = dict.fromkeys(columns.texts, _TEXT) | dict.fromkeys(columns.floats, pa.float32())
    # The times of the first block may not be like the others; then Arrow has to infer their type from all of them.
    with suppress(pa.ArrowInvalid):
        return to_frame(_parse(path, columns.names(), types | _types_of_times(path, columns, separator), separator))
    try:
        return to_frame(_parse(path, columns.names(), types, separator, several_threads=False))
    except pa.ArrowInvalid as error:
        _refuse_words(path, columns, separator, error)
        raise unreadable(path, error, column_names(path, separator=separator)) from error


def _types_of_times(path: Path, columns: Columns, separator: str) -> dict[str, pa.DataType]:
    """Return the types that the first block suggests: a type left open makes Arrow keep all text of the file."""
    if not columns.times:
        return {}
    convert = csv.ConvertOptions(include_columns=columns.times, null_values=[""])
    with csv.open_csv(path, parse_options=csv.ParseOptions(delimiter=separator), convert_options=convert) as batches:
        return {field.name: field.type for field in batches.schema}


def _parse(
    path: Path, names: list[str], types: dict[str, pa.DataType], separator: str, *, several_threads: bool = True
) -> dict[str, pa.ChunkedArray]:
    # Only a single thread counts the rows, and can tell in which one it failed.
    table = csv.read_csv(
        path,
        read_options=csv.ReadOptions(block_size=_BLOCK_BYTES, use_threads=several_threads),
        parse_options=csv.ParseOptions(delimiter=separator),
        convert_options=csv.ConvertOptions(
            include_columns=names, column_types=types, null_values=[""], strings_can_be_null=True
        ),
    )
    return take_columns(table)


def _refuse_words(path: Path, columns: Columns, separator: str, error: pa.ArrowInvalid) -> None:
    if "conversion error" not in str(error):
        return
    for name in columns.floats:
        cells = to_frame(_parse(path, [name], {name: pa.string()}, separator))[name]
        refuse_words(cells, path, is_label=name in columns.labels)


def _separator(path: Path) -> str:
    with path.open("rb") as file:
        return inferred_separator(file.read(_HEAD_BYTES), _SEPARATORS)


def _is_parquet(path: Path) -> bool:
    return path.suffix.lower() == ".parquet"
