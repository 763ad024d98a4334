"""Reads formulas from a file: a table with a column of them, or plain text with one a line."""

import csv
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lightning_modules.losses import Formula, FormulaError
from lightning_modules.utilities.messages import listed, shortened
from lightning_modules.utilities.progress import Work, working
from lightning_modules.utilities.serialization import is_file

_COLUMN = "formula"
_SHOWN, _LONGEST_NAME = 20, 40
_TABLES = (".csv", ".tsv")
_SHAPE = f"a CSV or TSV file with a column '{_COLUMN}', or plain text with one formula a line"


@dataclass(frozen=True)
class FormulaFile:
    """The content of a file of formulas.

    Attributes:
        formulas: Its formulas in the order of the file, each once.
        problems: Lines that cannot be read, as ``file, line N: reason``.
    """

    formulas: list[Formula]
    problems: list[str]

    @property
    def remarks(self) -> list[str]:
        """A line for each of the first problems, and the number of further ones."""
        more = len(self.problems) - _SHOWN
        told = [f"left out: {problem}" for problem in self.problems[:_SHOWN]]
        return [*told, f"left out: {more:,} more lines"] if more > 0 else told


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
    text = _text(path)
    with _cells_of(len(text)), working(f"reading {path.name}", text.count("\n")) as work:
        formulas, problems = _read(path, text, work)
    if not formulas:
        reason = f"the first problem is in {problems[0]}" if problems else f"it needs to be {_SHAPE}"
        raise ValueError(f"'{path}' holds no formula that can be read; {reason}")
    return FormulaFile(formulas, problems)


def _read(path: Path, text: str, work: Work) -> tuple[list[Formula], list[str]]:
    """Return a file's formulas and problems, each formula and each text once, however often the file has it."""
    known: dict[tuple[str, str], Formula | FormulaError] = {}
    formulas: dict[Formula, None] = {}
    problems: list[str] = []
    for entry in _entries(path, text):
        work.done = entry.line
        key = entry.text, entry.problem
        if key not in known:
            known[key] = _formula(entry)
            if isinstance(known[key], Formula):
                formulas[known[key]] = None  # type: ignore[index]
        if isinstance(known[key], FormulaError):
            problems.append(f"{path}, line {entry.line}: {known[key]}")
    return list(formulas), problems


@contextmanager
def _cells_of(length: int) -> Iterator[None]:
    """Allow cells of this length in tables; the csv module has one limit for the whole process."""
    before = csv.field_size_limit(max(length, csv.field_size_limit()))
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _text(path: Path) -> str:
    if not is_file(path):
        raise FileNotFoundError(f"'{path}' is no file; name {_SHAPE}")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"'{path}' is no UTF-8 text (byte {error.start + 1}); name {_SHAPE}") from error


def _formula(entry: _Entry) -> Formula | FormulaError:
    try:
        return FormulaError(entry.problem) if entry.problem else Formula.parse(entry.text)
    except FormulaError as error:
        return error


def _entries(path: Path, text: str) -> Iterator[_Entry]:
    lines = text.splitlines(keepends=True)
    first = lines[0] if lines else ""
    delimiter = "\t" if "\t" in first else ","
    header = [name.strip().strip('"').lower() for name in first.split(delimiter)]
    if _COLUMN in header:
        return _rows(path, lines, delimiter, header)
    if path.suffix.lower() in _TABLES and lines:
        names = listed([shortened(name, _LONGEST_NAME) for name in header], _SHOWN, ", ")
        raise ValueError(f"'{path}' has no column '{_COLUMN}' but {names}; rename the one with formulas")
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
