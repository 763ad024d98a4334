"""What of a text decides how it is parsed, counted without parsing it."""

from collections.abc import Iterator
from typing import NamedTuple

from datamodules.tables.records import Content

_BLOCK_BYTES = 4 << 20


class Survey(NamedTuple):
    """What was counted.

    Attributes:
        has_quotes: Whether there is a quote behind the first line.
        filled_lines: Number of lines that are not blank; None where that is not counted: there are no quotes, or only a
            slower look can tell.
    """

    has_quotes: bool
    filled_lines: int | None


def survey(content: Content) -> Survey:
    """Look for quotes, and count lines where there are some."""
    lines, is_plain, has_quotes, last = 0, True, False, b""
    for block in _blocks(content):
        has_quotes = has_quotes or block.find(b'"', 0 if lines else max(block.find(b"\n"), 0)) >= 0
        lines += block.count(b"\n")
        is_plain = is_plain and _has_plain_line_ends(last + block[:2]) and _has_plain_line_ends(block)
        last = block[-2:]
    return Survey(has_quotes, lines + (not last.endswith(b"\n")) if is_plain and has_quotes else None)


def _blocks(content: Content) -> Iterator[bytes]:
    while block := content.read(_BLOCK_BYTES):
        yield block


def _has_plain_line_ends(block: bytes) -> bool:
    """Return whether there are neither blank lines nor lines that end in a single carriage return."""
    if b"\r" not in block:
        return b"\n\n" not in block
    # One at the very end may have its second half in the next block.
    return b"\n\r\n" not in block and b"\n\n" not in block and block.count(b"\r", 0, -1) == block.count(b"\r\n")
