"""Checks of a ledger before it is read, since the file may come from elsewhere."""

import sqlite3
from collections.abc import Mapping
from types import NoneType
from typing import Any, get_args, get_type_hints

from lightning_modules.search.ledger_tables import columns_of
from lightning_modules.utilities.messages import shortened

#: Bytes of the longest row that is read; formulas have at most 200,000 characters.
_LONGEST_ROW = 10_000_000
_SHOWN = 40
_KINDS: Mapping[Any, tuple[str, ...]] = {
    int: ("integer",),
    float: ("real", "integer"),
    str: ("text",),
    NoneType: ("null",),
}
_WORDS = {"blob": "bytes", "null": "nothing", "real": "a number with decimals", "integer": "a number", "text": "text"}


def limit(connection: sqlite3.Connection) -> None:
    """Forbid a connection what no ledger needs: huge rows, and functions that the schema calls."""
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_ROW)
    connection.execute("PRAGMA trusted_schema = OFF")


def refuse_programs(connection: sqlite3.Connection) -> None:
    """Refuse a file with computed tables, since reading one may never end.

    Raises:
        ValueError: If it holds a view, a trigger or a virtual table.
    """
    computed = "type NOT IN ('table', 'index') OR sql LIKE 'CREATE VIRTUAL%'"
    found = connection.execute(f"SELECT type, name FROM sqlite_master WHERE {computed}").fetchone()  # noqa: S608
    if found:
        raise ValueError(
            f"it holds a {found[0]}, '{shortened(str(found[1]), _SHOWN)}', and a ledger holds tables alone"
        )


def refuse_wrong_types(connection: sqlite3.Connection, table: str, *classes: type) -> None:
    """Refuse a table with values of other types than the fields of dataclasses, since SQLite does not check them.

    Args:
        connection: The file.
        table: The table.
        classes: The dataclasses; their integers are not negative.

    Raises:
        ValueError: If a value has another type than its field.
    """
    columns = columns_of(connection, table)
    for name, hint in _plain_fields(*classes).items():
        if name in columns:
            _refuse_wrong_column(connection, table, name, get_args(hint) or (hint,))


def _plain_fields(*classes: type) -> dict[str, Any]:
    hints = {name: hint for cls in classes for name, hint in get_type_hints(cls).items()}
    return {name: hint for name, hint in hints.items() if all(each in _KINDS for each in get_args(hint) or (hint,))}


def _refuse_wrong_column(connection: sqlite3.Connection, table: str, name: str, types: tuple[Any, ...]) -> None:
    kinds = ", ".join(f"'{kind}'" for each in types for kind in _KINDS[each])
    # SQLite reads 9e999 as infinity, which no measured value is.
    values = f' OR "{name}" < 0' if int in types else f' OR abs("{name}") = 9e999' if float in types else ""
    wrong = f'typeof("{name}") NOT IN ({kinds}){values}'
    query = f'SELECT rowid, typeof("{name}"), substr("{name}", 1, 40) FROM {table} WHERE {wrong} LIMIT 1'  # noqa: S608
    found = connection.execute(query).fetchone()
    if found:
        row, kind, value = found
        shown = "" if kind in ("blob", "null") else f" '{value}'"
        raise ValueError(f"row {row} of its table {table} has {_WORDS[kind]}{shown} in the column {name}")
