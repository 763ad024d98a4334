"""CSV tables, plain or compressed, with any separator: their columns and cells, and errors that name the line."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import pyarrow as pa

from datamodules.tables.arrow_csv import ArrowCsv, Types, is_not_utf8
from datamodules.tables.cells import ArrowColumns
from datamodules.tables.columns import Columns, refuse_columns
from datamodules.tables.formats import damage_named, head_of, open_content
from datamodules.tables.ids import is_text
from datamodules.tables.quotes import (
    count_filled_lines,
    has_quotes,
    refuse_broken_records,
    refuse_line_ends,
    warn_of_swallowed_rows,
)
from datamodules.tables.records import Cell, Record, records
from datamodules.tables.separators import inferred_separator, usable_separator
from lightning_modules.utilities.messages import shortened

_CONVERSION = re.compile(
    r"In CSV column #(?P<column>\d+): (?:Row #\d+: )?(?P<what>.*invalid value '(?P<value>.*)')", re.DOTALL
)


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
        self._csv = ArrowCsv(path, self.names, self.separator_bytes, has_header=self._has_header)

    def read(self, columns: Columns) -> ArrowColumns:
        """Return some columns, as :meth:`ArrowCsv.read` gives them.

        Raises:
            ValueError: If there is not each of them once, or the file cannot be read.
        """
        refuse_columns(columns, self.names, self.path, self.separator)
        quoted = self._has_quotes()
        with self._explained():
            table = self._csv.read(columns, quoted=quoted)
        read = dict(zip(table.column_names, table.columns, strict=True))
        for name in columns.texts:
            refuse_line_ends((chunk.dictionary for chunk in read[name].chunks), self.cells(name), self.path, name)
            read[name] = self._csv.texts(read[name])
        if quoted and table.num_rows + self._has_header != self._count_filled_lines():
            warn_of_swallowed_rows(self)
        return read

    def batches(self, types: Types) -> Iterator[pa.RecordBatch]:
        """Yield some columns of the given types block by block, which together may be more than the memory holds.

        Raises:
            ValueError: If the file cannot be read so.
        """
        quoted = self._has_quotes()
        with self._explained():
            for batch in self._csv.batches(types, quoted=quoted):
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

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except pa.ArrowInvalid as error:
            if is_not_utf8(error):
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
