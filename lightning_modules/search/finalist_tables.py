"""The SQLite tables of a ledger that hold finalists: how they are made, written and read."""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import astuple, replace

import numpy as np
import torch
from torch import Tensor

from lightning_modules.search.answer import FinalistRun, ValidatedFormula, Validation
from lightning_modules.search.ledger_tables import columns_of

_CREATE = """
BEGIN;
CREATE TABLE IF NOT EXISTS finalists (
    name TEXT NOT NULL, seed INTEGER NOT NULL, status TEXT NOT NULL, score REAL, epoch INTEGER NOT NULL,
    learning_rate REAL, weight_decay REAL, seconds REAL NOT NULL, error TEXT NOT NULL, most_epochs INTEGER NOT NULL,
    components BLOB,
    PRIMARY KEY (name, seed)
);
CREATE TABLE IF NOT EXISTS validated (
    round INTEGER NOT NULL, formula TEXT NOT NULL, difference REAL, standard_error REAL, is_answer INTEGER NOT NULL,
    PRIMARY KEY (round, formula)
);
COMMIT;
"""
_INSERT_RUN = "INSERT INTO finalists VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_INSERT_VALIDATED = "INSERT INTO validated VALUES (?, ?, ?, ?, ?)"
_STORED = np.dtype("<f4")


def make_finalist_tables(connection: sqlite3.Connection) -> None:
    """Make missing tables."""
    connection.executescript(_CREATE)


def insert_finalist(connection: sqlite3.Connection, runs: Sequence[FinalistRun]) -> None:
    """Write the trainings of one finalist, in place of those with other seeds."""
    connection.executemany("DELETE FROM finalists WHERE name = ?", {(run.name,) for run in runs})
    # A tensor is no part of a tuple that copies what it holds.
    rows = [(*astuple(replace(run, components=None))[:-1], _stored(run.components)) for run in runs]
    connection.executemany(_INSERT_RUN, rows)


def insert_validation(connection: sqlite3.Connection, validation: Validation) -> None:
    """Write what became of finalists, in place of what was written after the same round."""
    connection.execute("DELETE FROM validated WHERE round = ?", (validation.round,))
    connection.executemany(_INSERT_VALIDATED, [(validation.round, *astuple(each)) for each in validation.formulas])


def select_finalists(connection: sqlite3.Connection) -> Mapping[str, Sequence[FinalistRun]]:
    """Return the trainings of all finalists by name, in the order in which they were written."""
    found: dict[str, list[FinalistRun]] = {}
    if columns_of(connection, "finalists"):
        for *values, stored in connection.execute("SELECT * FROM finalists ORDER BY rowid"):
            run = replace(FinalistRun(*values), components=_tensor(stored))
            found.setdefault(run.name, []).append(run)
    return found


def select_validated(connection: sqlite3.Connection) -> tuple[ValidatedFormula, ...]:
    """Return what became of the finalists when they were last compared; nothing if they never were."""
    if not columns_of(connection, "validated"):
        return ()
    newest = (
        "SELECT formula, difference, standard_error, is_answer FROM validated "
        "WHERE round = (SELECT max(round) FROM validated) ORDER BY rowid"
    )
    rows = connection.execute(newest)
    return tuple(ValidatedFormula(formula, gap, error, bool(mark)) for formula, gap, error, mark in rows)


def _stored(components: Tensor | None) -> bytes | None:
    return None if components is None else components.numpy().astype(_STORED).tobytes()


def _tensor(stored: object) -> Tensor | None:
    if not isinstance(stored, bytes) or len(stored) % _STORED.itemsize:
        return None
    return torch.from_numpy(np.frombuffer(stored, _STORED).astype(np.float32))
