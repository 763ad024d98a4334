"""Unbalanced quotes: a stray one opens a cell that swallows rows up to the next quote or the file's end."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

import pyarrow as pa
from pyarrow import compute
from pytorch_lightning.utilities import rank_zero_warn

from datamodules.tables.records import Cell, Content, Record
from lightning_modules.utilities.messages import shortened

_BLOCK_BYTES = 4 << 20
_REMEDY = "Remove the quote, or double it and put the whole cell in quotes"
_FIELDS = "Give every line as many fields as the header, with quotes where needed"


class Text(Protocol):
    """A text as its records."""

    path: Path
    names: list[str]
    separator_bytes: bytes

    def records(self) -> Iterator[Record]:
        """Yield all records."""


def refuse_broken_records(text: Text) -> None:
    """Refuse the first record with another number of cells than there are columns, or with a quote left open.

    Raises:
        ValueError: If there is one.
    """
    separator, columns = text.separator_bytes, len(text.names)
    for record in text.records():
        if b'"' not in record.content and record.content.count(separator) + 1 == columns:
            continue
        cells = record.cells(separator)
        spanning = [cell for cell in cells if cell.breaks]
        if not cells[-1].closed or (spanning and len(cells) != columns):
            raise ValueError(f"{_opened(text.path, (spanning or cells)[-1])}. {_REMEDY}")
        if len(cells) != columns:
            content = shortened(record.content.decode(errors="replace"))
            where = f"{text.path}, line {record.line}"
            raise ValueError(f"{where}: Expected {columns} columns, got {len(cells)}: {content}. {_FIELDS}")


def refuse_line_ends(texts: Iterable[pa.Array], cells: Iterable[Cell], path: Path, name: str) -> None:
    """Refuse a column of ids or categories if one goes on over several lines.

    Args:
        texts: All distinct texts of the column.
        cells: The same column's cells as they stand in the file, which are looked at only then.
        path: The file.
        name: The column.

    Raises:
        ValueError: If one does.
    """
    if any(_has_line_ends(each) for each in texts):
        cell = next(cell for cell in cells if cell.breaks)
        raise ValueError(
            f"{_opened(path, cell)}, so that column '{name}' is {shortened(cell.text)!r}. Ids and categories are of "
            f"one line. {_REMEDY}"
        )


def has_quotes(content: Content) -> bool:
    """Return whether a text has a quote behind its first line."""
    begun = False
    while block := content.read(_BLOCK_BYTES):
        if block.find(b'"', 0 if begun else max(block.find(b"\n"), 0)) >= 0:
            return True
        begun = begun or b"\n" in block
    return False


def count_filled_lines(content: Content) -> int | None:
    """Return the number of lines, or None if some are blank or end in a carriage return: only records tell then."""
    lines, last = 0, b""
    while block := content.read(_BLOCK_BYTES):
        if not (_has_plain_line_ends(last + block[:2]) and _has_plain_line_ends(block)):
            return None
        lines, last = lines + block.count(b"\n"), block[-2:]
    return lines + (not last.endswith(b"\n"))


def warn_of_swallowed_rows(text: Text) -> None:
    """Warn of cells, in columns that are not read, whose lines look like rows.

    Raises:
        ValueError: If a quote is left open.
    """
    refuse_broken_records(text)
    separator, columns = text.separator_bytes, len(text.names)
    spanning = [
        cell
        for record in text.records()
        if b"\n" in record.content or b"\r" in record.content
        for cell in record.cells(separator)
        if cell.breaks and columns > 1 and cell.text.encode().count(separator) == cell.breaks * (columns - 1)
    ]
    if spanning:
        rank_zero_warn(
            f"{_opened(text.path, spanning[0])}, and the lines between look like rows, which are not read "
            f"({len(spanning)} such cells). Unless they are one text: {_REMEDY[0].lower()}{_REMEDY[1:]}"
        )


def _has_line_ends(texts: pa.Array) -> bool:
    return bool(compute.any(compute.match_substring_regex(texts, "[\r\n]")).as_py())


def _opened(path: Path, cell: Cell) -> str:
    closed = f"closed {cell.breaks} lines later" if cell.closed else "never closed"
    return f"{path}, line {cell.line}: a quote is opened here and {closed}"


def _has_plain_line_ends(block: bytes) -> bool:
    """Return whether there are neither blank lines nor lines that end in a single carriage return."""
    if b"\r" not in block:
        return b"\n\n" not in block
    # One at the very end may have its second half in the next block.
    return b"\n\r\n" not in block and b"\n\n" not in block and block.count(b"\r", 0, -1) == block.count(b"\r\n")
