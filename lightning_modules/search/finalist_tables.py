"""The SQLite tables of a ledger that hold finalists: how they are made, written and read."""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import astuple, fields, replace

import numpy as np
import torch
from torch import Tensor

from lightning_modules.search.answer import FinalistRun, ValidatedFormula, Validation
from lightning_modules.search.ledger_tables import add_columns, columns_of

_CREATE = """
BEGIN;
CREATE TABLE IF NOT EXISTS finalists (
    name TEXT NOT NULL, seed INTEGER NOT NULL, status TEXT NOT NULL, score REAL, epoch INTEGER NOT NULL,
    learning_rate REAL, weight_decay REAL, seconds REAL NOT NULL, error TEXT NOT NULL, most_epochs INTEGER NOT NULL,
    components BLOB, temperature REAL,
    PRIMARY KEY (name, seed)
);
CREATE TABLE IF NOT EXISTS validated (
    round INTEGER NOT NULL, formula TEXT NOT NULL, difference REAL, standard_error REAL, is_answer INTEGER NOT NULL,
    temperature REAL,
    PRIMARY KEY (round, formula)
);
COMMIT;
"""
# Tables of earlier versions lack it.
_ADDED = {table: {"temperature": "REAL"} for table in ("finalists", "validated")}
_RUN = [field.name for field in fields(FinalistRun)]
_INSERT_RUN = f"INSERT INTO finalists ({', '.join(_RUN)}) VALUES (:{', :'.join(_RUN)})"  # noqa: S608
_FORMULA = [field.name for field in fields(ValidatedFormula)]
_INSERT_VALIDATED = f"INSERT INTO validated (round, {', '.join(_FORMULA)}) VALUES (?, ?, ?, ?, ?, ?)"  # noqa: S608
_STORED = np.dtype("<f4")


def make_finalist_tables(connection: sqlite3.Connection) -> None:
    """Make missing tables, and add the columns that tables of earlier versions lack."""
    connection.executescript(_CREATE)
    add_columns(connection, _ADDED)


def insert_finalist(connection: sqlite3.Connection, runs: Sequence[FinalistRun]) -> None:
    """Write the trainings of one finalist, in place of those with other seeds."""
    connection.executemany("DELETE FROM finalists WHERE name = ?", {(run.name,) for run in runs})
    connection.executemany(_INSERT_RUN, [{**vars(run), "components": _stored(run.components)} for run in runs])


def insert_validation(connection: sqlite3.Connection, validation: Validation) -> None:
    """Write what became of finalists, in place of what was written after the same round."""
    connection.execute("DELETE FROM validated WHERE round = ?", (validation.round,))
    connection.executemany(_INSERT_VALIDATED, [(validation.round, *astuple(each)) for each in validation.formulas])


def select_finalists(connection: sqlite3.Connection) -> Mapping[str, Sequence[FinalistRun]]:
    """Return the trainings of all finalists by name, in the order in which they were written."""
    found: dict[str, list[FinalistRun]] = {}
    if columns_of(connection, "finalists"):
        names = [name for name in _RUN if name in columns_of(connection, "finalists")]
        for values in connection.execute(f"SELECT {', '.join(names)} FROM finalists ORDER BY rowid"):  # noqa: S608
            stored = FinalistRun(**dict(zip(names, values, strict=True)))
            run = replace(stored, components=_tensor(stored.components))
            found.setdefault(run.name, []).append(run)
    return found


def select_validated(connection: sqlite3.Connection) -> tuple[ValidatedFormula, ...]:
    """Return what became of the finalists when they were last compared; nothing if they never were."""
    names = [name for name in _FORMULA if name in columns_of(connection, "validated")]
    if not names:
        return ()
    newest = "WHERE round = (SELECT max(round) FROM validated) ORDER BY rowid"
    rows = connection.execute(f"SELECT {', '.join(names)} FROM validated {newest}")  # noqa: S608
    found = (ValidatedFormula(**dict(zip(names, row, strict=True))) for row in rows)
    return tuple(replace(each, is_answer=bool(each.is_answer)) for each in found)


def _stored(components: Tensor | None) -> bytes | None:
    return None if components is None else components.numpy().astype(_STORED).tobytes()


def _tensor(stored: object) -> Tensor | None:
    if not isinstance(stored, bytes) or len(stored) % _STORED.itemsize:
        return None
    return torch.from_numpy(np.frombuffer(stored, _STORED).astype(np.float32))
