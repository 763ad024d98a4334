"""What of a text decides how it is parsed, counted without parsing it."""

from typing import NamedTuple

from datamodules.tables.records import Content

_BLOCK_BYTES = 4 << 20


class Survey(NamedTuple):
    """What was counted.

    Attributes:
        has_quotes: Whether there is a quote behind the first line.
        filled_lines: Number of lines that are not blank; None where only a slower look can tell.
    """

    has_quotes: bool
    filled_lines: int | None


def survey(content: Content) -> Survey:
    """Count quotes and lines."""
    has_quotes, lines, is_plain, last = False, 0, True, b""
    while block := content.read(_BLOCK_BYTES):
        begin = 0 if lines else block.find(b"\n")
        has_quotes = has_quotes or block.find(b'"', max(begin, 0)) >= 0
        lines += block.count(b"\n")
        is_plain = is_plain and _has_plain_line_ends(last + block)
        last = block[-3:]
    return Survey(has_quotes, lines + (not last.endswith(b"\n")) if is_plain else None)


def _has_plain_line_ends(block: bytes) -> bool:
    """Return whether there are neither blank lines nor lines that end in a single carriage return."""
    if b"\n\n" in block or b"\n\r\n" in block:
        return False
    # One at the very end may have its second half in the next block.
    return block.count(b"\r", 0, -1) == block.count(b"\r\n") or b"\r" not in block
