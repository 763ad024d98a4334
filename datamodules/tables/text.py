"""CSV tables through Arrow: plain or compressed, with any separator, and errors that name the line."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import csv

from datamodules.tables.cells import ArrowColumns
from datamodules.tables.columns import Columns, refuse_columns
from datamodules.tables.formats import damage_named, head_of, open_content
from datamodules.tables.ids import TEXTS, is_text
from datamodules.tables.quotes import (
    count_filled_lines,
    has_quotes,
    refuse_broken_records,
    refuse_line_ends,
    warn_of_swallowed_rows,
)
from datamodules.tables.records import Cell, Record, records
from datamodules.tables.separators import (
    SingleByteContent,
    delimiter,
    inferred_separator,
    restored,
    usable_separator,
)
from lightning_modules.utilities.messages import shortened

_BLOCK_BYTES = 4 << 20
_CONVERSION = re.compile(
    r"In CSV column #(?P<column>\d+): (?:Row #\d+: )?(?P<what>.*invalid value '(?P<value>.*)')", re.DOTALL
)

Types = Mapping[str, pa.DataType]


class TextPart:
    """One file of UTF-8 text, a row a line.

    Args:
        path: The file, plain or compressed with gzip or Zstandard.
        separator: What separates the cells; None takes it from the first line: tab, ``::``, semicolon or comma.
        header: The names of the columns where the file does not begin with them.

    Raises:
        ValueError: If it is no such file, is empty, or begins with a blank line in place of the names.
    """

    def __init__(self, path: Path, *, separator: str | None = None, header: Sequence[str] | None = None) -> None:
        self.path = path
        self._has_header = header is None
        self.separator = inferred_separator(self._first_line()) if separator is None else separator
        self.separator_bytes = usable_separator(self.separator)
        self.names = list(header) if header else self._names()

    def read(self, columns: Columns) -> ArrowColumns:
        """Return some columns: texts as dictionaries, floats as such, or as text if one is none, times as they look.

        Raises:
            ValueError: If there is not each of them once, or the file cannot be read.
        """
        refuse_columns(columns, self.names, self.path, self.separator)
        quoted = self._has_quotes()
        with self._explained():
            table = self._parsed(columns, quoted=quoted)
        read = dict(zip(table.column_names, table.columns, strict=True))
        for name in columns.texts:
            read[name] = self._text(read[name], name)
        if quoted and table.num_rows + self._has_header != self._count_filled_lines():
            warn_of_swallowed_rows(self)
        return read

    def batches(self, types: Types) -> Iterator[pa.RecordBatch]:
        """Yield some columns of the given types block by block, which together may be more than the memory holds.

        Raises:
            ValueError: If the file cannot be read so.
        """
        quoted = self._has_quotes()
        with self._explained(), self._content() as content:
            for batch in csv.open_csv(content, **self._options(types, quoted=quoted)):
                for name in (name for name, kind in types.items() if quoted and is_text(kind)):
                    refuse_line_ends([batch[name]], self.cells(name), self.path, name)
                yield batch

    def cell(self, row: int, name: str) -> tuple[str, str]:
        """Return where a cell stands and what it says; rows are counted from 0, and blank lines are none."""
        cell = self._cells(row + self._has_header)[self.names.index(name)]
        return self._place(cell.line), cell.text

    def cells(self, name: str) -> Iterator[Cell]:
        """Yield the cells of a column as they stand in the file."""
        place = self.names.index(name)
        for record in islice(self.records(), int(self._has_header), None):
            yield record.cells(self.separator_bytes)[place]

    def records(self) -> Iterator[Record]:
        """Yield all records, the header too where there is one."""
        with open_content(self.path) as content, damage_named(self.path):
            yield from records(content, self.separator_bytes)

    def _first_line(self) -> bytes:
        head = head_of(self.path)
        if not head.strip():
            raise ValueError(f"{self.path} is empty; give a table with the names of the columns and at least one row")
        if head.startswith((b"\n", b"\r")) and self._has_header:
            raise ValueError(
                f"{self._place(1)} is blank, and the first line has to name the columns. Remove the blank lines before "
                "the names"
            )
        return head.lstrip(b"\r\n").splitlines()[0]

    def _names(self) -> list[str]:
        self._first_line()
        header = next(self.records())
        if not header.is_utf8():
            raise self._not_utf8(header.line)
        return [cell.text for cell in header.cells(self.separator_bytes)]

    def _cells(self, number: int) -> list[Cell]:
        return next(islice(self.records(), number, None)).cells(self.separator_bytes)

    def _place(self, line: int) -> str:
        return f"{self.path}, line {line}"

    def _has_quotes(self) -> bool:
        with open_content(self.path) as content, damage_named(self.path):
            return has_quotes(content)

    def _count_filled_lines(self) -> int | None:
        with open_content(self.path) as content, damage_named(self.path):
            return count_filled_lines(content)

    def _parsed(self, columns: Columns, *, quoted: bool) -> pa.Table:
        """Return the columns with the strictest types that fit."""
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
            is_single = len(self.separator_bytes) == 1
            yield content if is_single else SingleByteContent(content, self.separator_bytes)

    def _options(self, types: Mapping[str, pa.DataType | None], *, quoted: bool) -> dict[str, Any]:
        return {
            "read_options": csv.ReadOptions(
                block_size=_BLOCK_BYTES, column_names=self.names, skip_rows_after_names=int(self._has_header)
            ),
            "parse_options": csv.ParseOptions(delimiter=delimiter(self.separator_bytes), newlines_in_values=quoted),
            "convert_options": csv.ConvertOptions(
                include_columns=list(types),
                column_types={name: kind for name, kind in types.items() if kind is not None},
                null_values=[""],
                strings_can_be_null=True,
            ),
        }

    def _text(self, column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
        refuse_line_ends((chunk.dictionary for chunk in column.chunks), self.cells(name), self.path, name)
        if len(self.separator_bytes) == 1:
            return column
        chunks = [
            pa.DictionaryArray.from_arrays(chunk.indices, restored(chunk.dictionary, self.separator_bytes))
            for chunk in column.chunks
        ]
        return pa.chunked_array(chunks, TEXTS)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except pa.ArrowInvalid as error:
            if "UTF8" in str(error):
                line = next((record.line for record in self.records() if not record.is_utf8()), 1)
                raise self._not_utf8(line) from error
            refuse_broken_records(self)
            self._refuse_value(_CONVERSION.search(str(error)))
            raise ValueError(
                f"{self.path} cannot be read as a table of UTF-8 text: {shortened(str(error), 200)}"
            ) from error

    def _not_utf8(self, line: int) -> ValueError:
        return ValueError(
            f"{self._place(line)} is not UTF-8, as a CSV table has to be; save the table in that encoding"
        )

    def _refuse_value(self, found: re.Match[str] | None) -> None:
        if found is not None:
            name, value = self.names[int(found["column"])], found["value"]
            line = next((cell.line for cell in self.cells(name) if cell.text == value), 0)
            where = self._place(line)
            raise ValueError(f"{where}: column '{name}' cannot be read: {shortened(found['what'])}. Correct the cell")


def _is_of_a_cell(error: pa.ArrowInvalid) -> bool:
    return "conversion error" in str(error) and "UTF8" not in str(error)


def _is_time(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_int64(kind)
        or pa.types.is_float64(kind)
        or pa.types.is_date(kind)
        or (pa.types.is_timestamp(kind) and kind.tz is None)
    )
