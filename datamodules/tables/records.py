"""The records of a CSV text with their line numbers, for messages about cells.

Slower than Arrow, whose rules for quotes are followed: a quote matters only where a cell begins.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple, Protocol

_BLOCK_BYTES = 1 << 20
_CLOSING = re.compile(rb'[^"]*(?:""[^"]*)*"(?!")')
_LINE_END = re.compile(rb"\r\n|\r|\n")
_BOM = b"\xef\xbb\xbf"


class Content(Protocol):
    """What can be read from, block by block."""

    def read(self, size: int) -> bytes:
        """Return at most so many of the next bytes."""


class Cell(NamedTuple):
    """A cell as it stands in the file.

    Attributes:
        text: What it says, without the quotes around it.
        line: The line on which it begins, from 1.
        breaks: How many line ends it holds.
        closed: Whether a quote that opens it is closed.
    """

    text: str
    line: int
    breaks: int
    closed: bool


class Record(NamedTuple):
    """One row as it stands in the file.

    Attributes:
        line: The line on which it begins, from 1.
        content: Its bytes without the line's end.
    """

    line: int
    content: bytes

    def is_utf8(self) -> bool:
        """Return whether the bytes are text."""
        try:
            self.content.decode()
        except UnicodeDecodeError:
            return False
        return True

    def cells(self, separator: bytes) -> list[Cell]:
        """Return the record's cells."""
        cells: list[Cell] = []
        place, line = 0, self.line
        while place <= len(self.content):
            begin, quoted, closed = place, self.content.startswith(b'"', place), True
            if quoted:
                closing = _CLOSING.match(self.content, begin + 1)
                closed, place = closing is not None, closing.end() if closing else len(self.content)
            end = self.content.find(separator, place)
            end = len(self.content) if end < 0 else end
            cell = self._cell(begin, end, place if quoted else None, line, closed=closed)
            cells.append(cell)
            place, line = end + len(separator), line + cell.breaks
        return cells

    def _cell(self, begin: int, end: int, quoted_until: int | None, line: int, *, closed: bool) -> Cell:
        raw = self.content[begin:end]
        breaks = len(_LINE_END.findall(raw))
        if quoted_until is not None:
            inner = self.content[begin + 1 : quoted_until - closed].replace(b'""', b'"')
            raw = inner + self.content[quoted_until:end]
        return Cell(raw.decode(errors="replace"), line, breaks, closed)


def records(content: Content, separator: bytes) -> Iterator[Record]:
    """Yield the records of a text one after another; blank lines are none."""
    held: list[bytes] = []
    begin, inside = 0, False
    for number, line in enumerate(_lines(content), start=1):
        if not inside:
            if not line.strip(b"\r\n"):
                continue
            if b'"' not in line:
                yield Record(number, line.rstrip(b"\r\n"))
                continue
            begin, held = number, []
        held.append(line)
        inside = _ends_inside(line, separator, inside=inside)
        if not inside:
            yield Record(begin, b"".join(held).rstrip(b"\r\n"))
    if inside:
        yield Record(begin, b"".join(held))


def _ends_inside(line: bytes, separator: bytes, *, inside: bool) -> bool:
    """Return whether a quoted cell is still open at the end of a line, which begins inside one or not."""
    place = 0
    if not inside and line.startswith(b'"'):
        place, inside = 1, True
    while True:
        if inside:
            closing = _CLOSING.match(line, place)
            if closing is None:
                return True
            place = closing.end()
        place = line.find(separator + b'"', place)
        if place < 0:
            return False
        place, inside = place + len(separator) + 1, True


def _lines(content: Content) -> Iterator[bytes]:
    rest, is_first = b"", True
    while block := content.read(_BLOCK_BYTES):
        if is_first:
            block, is_first = block.removeprefix(_BOM), False
        lines = (rest + block).splitlines(keepends=True)
        # The last one may go on in the next block, if only by the second half of its end.
        rest = lines.pop() if lines else b""
        yield from lines
    yield from rest.splitlines(keepends=True)
