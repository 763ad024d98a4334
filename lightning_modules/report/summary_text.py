"""The page ``summary.md`` of a comparison or a polish as HTML: headings, paragraphs, lists and tables."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from lightning_modules.report.html import Markup, element, joined, listed, table

_ESCAPED = re.compile(r"\\([\\`*|])")
_CELLS = re.compile(r"(?<!\\)\|")
_CODE = re.compile(r"(?<!\\)`(.*?)(?<!\\)`")
_LARGEST_FILE = 5_000_000


def summary_of(path: Path) -> Markup:
    """Return the page without its title, headings one level lower.

    Raises:
        FileNotFoundError: If it is not there.
        ValueError: If it is no text, or too long.
    """
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(_LARGEST_FILE + 1)
    except UnicodeDecodeError as error:
        raise ValueError(f"'{path}' is no text: {error}") from error
    if len(text) > _LARGEST_FILE:
        raise ValueError(f"'{path}' has more than {_LARGEST_FILE:,} characters, and a summary is shorter")
    return joined(_blocks(text))


def _blocks(text: str) -> Iterator[Markup]:
    heading = "As a table"
    for block in re.split(r"\n{2,}", text.strip()):
        lines = block.split("\n")
        if block.startswith("# "):
            continue
        if block.startswith("## "):
            heading = _plain(block.removeprefix("## "))
            yield element("h3", heading)
        elif block.startswith("| ") and len(lines) > 1:
            yield _table(heading, lines)
        elif all(line.startswith("- ") for line in lines):
            yield listed(_inline(line.removeprefix("- ")) for line in lines)
        else:
            yield element("p", _inline(block))


def _table(caption: str, lines: Sequence[str]) -> Markup:
    header, _, *rows = ([_inline(cell.strip()) for cell in _CELLS.split(line)[1:-1]] for line in lines)
    # A table that was damaged by hand is shown as far as it goes.
    return table(caption, header, [[*row, *[Markup("")] * len(header)][: len(header)] for row in rows])


def _inline(text: str) -> Markup:
    """Return a line, in which only code is marked up."""
    parts = _CODE.split(text)
    return joined(element("code", part) if place % 2 else _plain(part) for place, part in enumerate(parts))


def _plain(text: str) -> str:
    return _ESCAPED.sub(r"\1", text)
