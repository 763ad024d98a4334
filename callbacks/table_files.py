"""Tables written piece by piece, as CSV or Parquet, and joined from the parts of several processes."""

import shutil
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from lightning_modules.utilities.files import put_in_place


class TableFile(ABC):
    """A table in a new file that grows by rows; columns are those of the first rows.

    Args:
        path: The file, which is overwritten.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @abstractmethod
    def append(self, rows: pd.DataFrame) -> None:
        """Write rows behind those that are there."""

    @abstractmethod
    def close(self) -> None:
        """Finish the file."""

    @staticmethod
    @abstractmethod
    def join(parts: Sequence[Path], output: Path) -> None:
        """Move the rows of all parts, in their order, to one file."""


class CsvFile(TableFile):
    """A table as CSV.

    Args:
        path: The file, which is overwritten.
        header: Whether the first line names the columns; of the parts of one table only the first one's does.
    """

    def __init__(self, path: Path, *, header: bool) -> None:
        super().__init__(path)
        path.write_bytes(b"")
        self.header = header

    def append(self, rows: pd.DataFrame) -> None:
        """Write rows behind those that are there."""
        rows.to_csv(self.path, mode="a", header=self.header, index=False)
        self.header = False

    def close(self) -> None:
        """Do nothing: all rows are in the file."""

    @staticmethod
    def join(parts: Sequence[Path], output: Path) -> None:
        """Move the rows of all parts, in their order, to one file, which is there whole or not at all."""
        first, *others = parts
        with first.open("ab") as joined:
            for other in others:
                with other.open("rb") as part:
                    shutil.copyfileobj(part, joined)
                other.unlink()
        put_in_place(first, output)


class ParquetFile(TableFile):
    """A table as Parquet, with a row group for every piece; types are those of the first rows.

    Args:
        path: The file, which is overwritten.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._writer: pq.ParquetWriter | None = None

    def append(self, rows: pd.DataFrame) -> None:
        """Write rows behind those that are there."""
        if self._writer is None:
            schema = pa.Schema.from_pandas(rows, preserve_index=False)
            self._writer = pq.ParquetWriter(self.path, pa.schema([_typed(field) for field in schema]))
        self._writer.write_table(pa.Table.from_pandas(rows, self._writer.schema, preserve_index=False))

    def close(self) -> None:
        """Write what Parquet has at the end of a file."""
        if self._writer is not None:
            self._writer.close()

    @staticmethod
    def join(parts: Sequence[Path], output: Path) -> None:
        """Move the rows of all parts, in their order, to one file."""
        first, *others = parts
        if others:
            joined = first.with_name(f".{output.name}.joined.tmp")
            schema = pq.read_schema(first)
            with pq.ParquetWriter(joined, schema) as writer:
                for part in parts:
                    _copy_row_groups(part, writer)
            for part in parts:
                part.unlink()
            first = joined
        put_in_place(first, output)


def _typed(field: pa.Field) -> pa.Field:
    # A column that begins with nothing but missing values would take nothing else ever after.
    return field.with_type(pa.string()) if pa.types.is_null(field.type) else field


def _copy_row_groups(path: Path, writer: pq.ParquetWriter) -> None:
    with pq.ParquetFile(path) as part:
        for group in range(part.num_row_groups):
            writer.write_table(part.read_row_group(group).cast(writer.schema))
