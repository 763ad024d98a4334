"""Reads columns of a table in any format as pandas columns, without holding Arrow's copy beside them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from datamodules.tables.categories import as_categorical
from datamodules.tables.cells import ArrowColumns, usable_cells
from datamodules.tables.columns import Columns
from datamodules.tables.files import parts_of
from datamodules.tables.formats import is_parquet
from datamodules.tables.parquet import ParquetPart
from datamodules.tables.text import TextPart
from lightning_modules.utilities.messages import shortened
from lightning_modules.utilities.progress import working


def to_frame(columns: dict[str, pa.ChunkedArray]) -> pd.DataFrame:
    """Return a pandas table with dictionaries as categories; ``columns`` is emptied, so that memory holds them once."""
    result = pd.DataFrame({name: _converted(columns.pop(name)) for name in list(columns)}, copy=False)
    pa.default_memory_pool().release_unused()
    return result


def _converted(column: pa.ChunkedArray) -> Any:
    if not pa.types.is_dictionary(column.type):
        return column.to_pandas(date_as_object=False)
    return as_categorical(column)


def read_columns(
    path: Path, columns: Columns, *, separator: str | None = None, header: Sequence[str] | None = None
) -> pd.DataFrame:
    """Read some columns of a table: texts as categories, numbers and labels as float32, ratings as float64.

    Args:
        path: A CSV or Parquet file, or a folder of its parts; its content tells which it is.
        columns: What to read.
        separator: What separates the cells; None takes it from the first line: tab, ``::``, semicolon or comma.
        header: The names of the columns of a CSV file that does not begin with them.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be read, has no rows, lacks a column, or has a cell that cannot be used.
    """
    with working(f"reading {path.name}"):
        parts = [_part(file, separator, header) for file in parts_of(path)]
        table = _joined([usable_cells(part.read(columns), part, columns) for part in parts], path)
    if not len(table):
        raise ValueError(f"{path} has no rows; give a table with at least one row")
    return table


def column_names(path: Path, *, separator: str | None = None) -> list[str]:
    """Return the columns of a table as it names them, one twice if it does.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be read.
    """
    return _part(parts_of(path)[0], separator, None).names


def _part(path: Path, separator: str | None, header: Sequence[str] | None) -> TextPart | ParquetPart:
    return ParquetPart(path) if is_parquet(path) else TextPart(path, separator=separator, header=header)


def _joined(parts: list[ArrowColumns], path: Path) -> pd.DataFrame:
    if len(parts) == 1:
        return to_frame(parts[0])
    tables = [pa.table(columns) for columns in parts]
    parts.clear()
    try:
        table = pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException as error:
        raise ValueError(f"the parts of {path} hold different kinds of times: {shortened(str(error), 200)}") from error
    return to_frame(dict(zip(table.column_names, table.columns, strict=True)))
