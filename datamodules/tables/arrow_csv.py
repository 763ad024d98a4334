"""How Arrow parses a CSV table: its options, and the strictest types that the columns have."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
from pyarrow import csv

from datamodules.tables.columns import Columns
from datamodules.tables.formats import damage_named, open_content
from datamodules.tables.ids import TEXTS
from datamodules.tables.separators import SingleByteContent, delimiter, restored

_BLOCK_BYTES = 4 << 20
_CONVERSION = re.compile(r"(In CSV column #\d+: )?(Row #\d+: )?CSV conversion error to .*?: (?P<wrong>.*)", re.DOTALL)
_NOT_UTF8 = "invalid UTF8"

#: The type of every column that is read.
Types: TypeAlias = Mapping[str, pa.DataType]


class ArrowCsv:
    """Parses one file of text.

    Args:
        path: The file, plain or compressed.
        names: The names of its columns.
        separator: What separates the cells, one byte or several.
        has_header: Whether the first line names the columns.
    """

    def __init__(self, path: Path, names: Sequence[str], separator: bytes, *, has_header: bool) -> None:
        self.path = path
        self.names = list(names)
        self.separator = separator
        self.has_header = has_header

    def read(self, columns: Columns, *, quoted: bool) -> pa.Table:
        """Return some columns: texts as dictionaries, floats as such, or as text if one is none, times as they look.

        Args:
            columns: The columns.
            quoted: Whether a cell of the file may be quoted.

        Raises:
            pa.ArrowInvalid: If the file cannot be parsed.
        """
        texts, words = dict.fromkeys(columns.texts, TEXTS), dict.fromkeys(columns.times, pa.string())
        floats = dict.fromkeys(columns.numbers, pa.float32())
        floats |= dict.fromkeys([*columns.labels, *columns.ratings], pa.float64())
        try:
            return self._table(texts | floats | self._types_of_times(columns, quoted=quoted), quoted=quoted)
        except pa.ArrowInvalid as error:
            if not _is_of_a_cell(error):
                raise
        try:
            return self._table(texts | floats | words, quoted=quoted)
        except pa.ArrowInvalid as error:
            if not _is_of_a_cell(error):
                raise
        return self._table(texts | dict.fromkeys(floats, pa.string()) | words, quoted=quoted)

    def batches(self, types: Types, *, quoted: bool) -> Iterator[pa.RecordBatch]:
        """Yield some columns of the given types block by block; ``quoted`` and errors as for :meth:`read`."""
        with self._content() as content:
            yield from csv.open_csv(content, **self._options(types, quoted=quoted))

    def texts(self, column: pa.ChunkedArray) -> pa.ChunkedArray:
        """Return a column of texts as the file has them, where a separator of several bytes was replaced by one."""
        if len(self.separator) == 1:
            return column
        chunks = [
            pa.DictionaryArray.from_arrays(chunk.indices, restored(chunk.dictionary, self.separator))
            for chunk in column.chunks
        ]
        return pa.chunked_array(chunks, TEXTS)

    def _types_of_times(self, columns: Columns, *, quoted: bool) -> dict[str, pa.DataType]:
        """Return the types that the first block suggests, which those of the others may not be."""
        if not columns.times:
            return {}
        with self._content() as content:
            options = self._options(dict.fromkeys(columns.times, None), quoted=quoted)
            schema = csv.open_csv(content, **options).schema
        return {field.name: field.type if _is_time(field.type) else pa.string() for field in schema}

    def _table(self, types: Types, *, quoted: bool) -> pa.Table:
        with self._content() as content:
            return csv.read_csv(content, **self._options(types, quoted=quoted))

    @contextmanager
    def _content(self) -> Iterator[Any]:
        with open_content(self.path) as content, damage_named(self.path):
            yield content if len(self.separator) == 1 else SingleByteContent(content, self.separator)

    def _options(self, types: Mapping[str, pa.DataType | None], *, quoted: bool) -> dict[str, Any]:
        return {
            "read_options": csv.ReadOptions(
                block_size=_BLOCK_BYTES, column_names=self.names, skip_rows_after_names=int(self.has_header)
            ),
            "parse_options": csv.ParseOptions(delimiter=delimiter(self.separator), newlines_in_values=quoted),
            "convert_options": csv.ConvertOptions(
                include_columns=list(types),
                column_types={name: kind for name, kind in types.items() if kind is not None},
                null_values=[""],
                strings_can_be_null=True,
            ),
        }


def is_not_utf8(error: pa.ArrowInvalid) -> bool:
    """Return whether Arrow could not read a file since it is no UTF-8 text, whatever the cell that it shows says."""
    return _wrong_with_cell(error).startswith(_NOT_UTF8)


def _is_of_a_cell(error: pa.ArrowInvalid) -> bool:
    return bool(_wrong_with_cell(error)) and not is_not_utf8(error)


def _wrong_with_cell(error: pa.ArrowInvalid) -> str:
    """Return what is wrong with a cell; nothing if it is no cell that is wrong."""
    found = _CONVERSION.match(str(error))
    return found["wrong"] if found else ""


def _is_time(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_int64(kind)
        or pa.types.is_float64(kind)
        or pa.types.is_date(kind)
        or (pa.types.is_timestamp(kind) and kind.tz is None)
    )
