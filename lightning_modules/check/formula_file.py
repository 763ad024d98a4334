"""Reads formulas from a file: a table with a column of them, or plain text with one a line."""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lightning_modules.losses import Formula, FormulaError

_COLUMN = "formula"
_TABLES = (".csv", ".tsv")
_SHAPE = f"a CSV or TSV file with a column '{_COLUMN}', or plain text with one formula a line"


@dataclass(frozen=True)
class FormulaFile:
    """What a file of formulas holds.

    Attributes:
        formulas: Its formulas in the order of the file, each once.
        problems: What cannot be read, as ``file, line N: reason``.
    """

    formulas: list[Formula]
    problems: list[str]


@dataclass(frozen=True)
class _Entry:
    line: int
    text: str
    problem: str = ""


def read_formulas(path: str | Path) -> FormulaFile:
    """Read ``formulas.csv`` or ``check.csv`` of a study, or any CSV, TSV or text file of formulas.

    Rows of hand-made losses, whose column ``kind`` says ``reference``, are left out. In plain text so are blank lines
    and lines that start with ``#``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no text, a table without the column ``formula``, or holds no formula that can be read.
    """
    path = Path(path)
    formulas: dict[Formula, None] = {}
    problems: list[str] = []
    for entry in _entries(path, _text(path)):
        try:
            formulas[_formula(entry)] = None
        except FormulaError as error:
            problems.append(f"{path}, line {entry.line}: {error}")
    if not formulas:
        reason = f"the first problem is in {problems[0]}" if problems else f"it needs to be {_SHAPE}"
        raise ValueError(f"'{path}' holds no formula that can be read; {reason}")
    return FormulaFile(list(formulas), problems)


def _text(path: Path) -> str:
    if not path.is_file():
        raise FileNotFoundError(f"'{path}' is no file; name {_SHAPE}")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"'{path}' is no UTF-8 text (byte {error.start + 1}); name {_SHAPE}") from error


def _formula(entry: _Entry) -> Formula:
    if entry.problem:
        raise FormulaError(entry.problem)
    return Formula.parse(entry.text)


def _entries(path: Path, text: str) -> Iterator[_Entry]:
    lines = text.splitlines(keepends=True)
    first = lines[0] if lines else ""
    delimiter = "\t" if "\t" in first else ","
    header = [name.strip().strip('"').lower() for name in first.split(delimiter)]
    if _COLUMN in header:
        return _rows(path, lines, delimiter, header)
    if path.suffix.lower() in _TABLES and lines:
        raise ValueError(f"'{path}' has no column '{_COLUMN}' but {', '.join(header)}; rename the one with formulas")
    return _lines(lines)


def _lines(lines: Iterable[str]) -> Iterator[_Entry]:
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if text and not text.startswith("#"):
            yield _Entry(number, text)


def _rows(path: Path, lines: Iterable[str], delimiter: str, header: list[str]) -> Iterator[_Entry]:
    reader = csv.reader(lines, delimiter=delimiter)
    next(reader)
    try:
        for cells in reader:
            row = dict(zip(header, cells, strict=False))
            if not cells or row.get("kind") == "reference":
                continue
            yield _Entry(reader.line_num, row.get(_COLUMN, ""), _misshapen(cells, header))
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: cannot be read as a table: {error}") from error


def _misshapen(cells: list[str], header: list[str]) -> str:
    if len(cells) > len(header):
        return f"{len(cells)} cells under {len(header)} columns; put formulas that hold commas into double quotes"
    return "" if len(cells) > header.index(_COLUMN) else f"no cell under the column '{_COLUMN}'"
