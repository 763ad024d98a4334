"""Tables of one line a row: figures, then a name or formula that may be long."""

from collections.abc import Sequence

from rich.console import Console

_GAP, _ELLIPSIS = "  ", "..."
#: Characters of a name that even the first figures make room for.
_NAME_WIDTH = 20


def tell(console: Console, *lines: str) -> None:
    """Print lines as they are, each in one piece, so that commands and paths can be copied."""
    for line in lines:
        console.print(line, soft_wrap=True, markup=False, highlight=False)


def tell_prose(console: Console, *lines: str, style: str | None = None) -> None:
    """Print sentences, broken between words where a terminal ends; what goes to a file or pipe is not broken."""
    for line in lines:
        console.print(line, style=style, soft_wrap=not console.is_terminal, markup=False, highlight=False)


def print_rows(
    console: Console, title: str, header: Sequence[str], rows: Sequence[Sequence[str]], *, kept: int
) -> bool:
    """Print a table whose last column holds names, and return whether a terminal had no room for one of them.

    A terminal that is narrow leaves out the last figures, then shortens names. What goes to a file or pipe is whole.

    Args:
        console: Where to write.
        title: The line above the table.
        header: The names of the columns.
        rows: The cells, as many in each row as there are names.
        kept: Number of figures that are shown even if names are shortened for them.
    """
    table = [[*header], *([*row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    width = console.width if console.is_terminal else _line_width(widths)
    shown = _num_shown(widths, width, kept)
    lines = [_line(row, widths[:shown]) for row in table]
    tell(console, title, *(line if len(line) <= width else _cut(line, width) for line in lines))
    return any(len(line) > width for line in lines)


def _num_shown(widths: Sequence[int], width: int, kept: int) -> int:
    """Return the number of figures that a line of some width has room for."""
    *figures, names = widths
    for number in range(len(figures), 0, -1):
        room = width - _line_width(figures[:number]) - len(_GAP)
        if room >= (names if number > kept else min(names, _NAME_WIDTH)):
            return number
    return 1


def _line_width(widths: Sequence[int]) -> int:
    return sum(widths) + len(_GAP) * (len(widths) - 1)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    figures = [cell.rjust(width) for cell, width in zip(row, widths, strict=False)]
    return _GAP.join([*figures, row[-1]])


def _cut(line: str, width: int) -> str:
    return f"{line[: width - len(_ELLIPSIS)]}{_ELLIPSIS}"
