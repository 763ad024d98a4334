"""Parquet tables through Arrow."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
from pyarrow.parquet import ParquetFile

from datamodules.tables.cells import ArrowColumns
from datamodules.tables.columns import Columns, refuse_columns
from datamodules.tables.ids import is_text
from lightning_modules.utilities.messages import shortened


class ParquetPart:
    """One Parquet file; what pandas wrote into it as an index is a column like others.

    Args:
        path: The file.

    Raises:
        ValueError: If it is none.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._readable():
            self._schema = ParquetFile(path).schema_arrow
        self.names: list[str] = list(self._schema.names)

    def read(self, columns: Columns) -> ArrowColumns:
        """Return some columns with the types that the file gives them, texts as dictionaries where it can.

        Raises:
            ValueError: If there is not each of them once, or they cannot be read.
        """
        refuse_columns(columns, self.names, self.path, None)
        texts = [name for name in columns.texts if is_text(self._schema.field(name).type)]
        with self._readable():
            table = ParquetFile(self.path, read_dictionary=texts).read(columns=columns.names())
        read = dict(zip(table.column_names, table.columns, strict=True))
        return {name: _plain(column) for name, column in read.items()}

    def cell(self, row: int, name: str) -> tuple[str, str]:
        """Return where a cell stands and what it says; rows are counted from 0."""
        value = ParquetFile(self.path).read(columns=[name]).column(0)[row].as_py()
        # The number that is none is how pandas writes a missing cell.
        return f"{self.path}, row {row + 1}", "" if value is None or value != value else str(value)

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise ValueError(f"{self.path} cannot be read as Parquet: {shortened(str(error), 200)}") from error


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    is_extension = isinstance(column.type, pa.BaseExtensionType)
    return column.cast(column.type.storage_type) if is_extension else column
