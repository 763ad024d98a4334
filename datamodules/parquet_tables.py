"""Parquet tables through Arrow."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
from pyarrow.parquet import ParquetFile

from datamodules.arrow_frames import take_columns, to_frame
from datamodules.table_columns import Columns
from datamodules.table_errors import refuse_words, unreadable


def read_parquet(path: Path, columns: Columns) -> pd.DataFrame:
    """Read some columns, which there have to be: texts as categories, floats as float32, times as they are.

    Raises:
        ValueError: If the table cannot be read, or a cell that ought to be a number is none.
    """
    _refuse_nested(path, columns)
    try:
        read = take_columns(ParquetFile(path, read_dictionary=columns.texts).read(columns=columns.names()))
        for name in columns.floats:
            read[name] = _floats(read[name], name, path, columns)
        for name in columns.texts:
            read[name] = _dictionary(read[name])
        return to_frame(read)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise unreadable(path, error) from error


def _floats(column: pa.ChunkedArray, name: str, path: Path, columns: Columns) -> pa.ChunkedArray:
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        refuse_words(column.to_pandas().rename(name), path, is_label=name in columns.labels)
    return column.cast(pa.float32(), safe=False)


def _dictionary(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_dictionary(column.type):
        return column
    # A column without a filled cell has no type, and categories need one.
    return (column.cast(pa.string()) if pa.types.is_null(column.type) else column).dictionary_encode()


def _refuse_nested(path: Path, columns: Columns) -> None:
    schema = ParquetFile(path).schema_arrow
    for name in columns.names():
        kind = schema.field(name).type
        if pa.types.is_nested(kind):
            raise ValueError(f"{path}: the cells of column '{name}' are {kind}; give one text or number a cell")
