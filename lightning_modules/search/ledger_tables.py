"""The SQLite tables of a ledger: how they are made, written and read."""

import sqlite3
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lightning_modules.search.trial import Evaluation, TrialKey

# In one transaction, so that a search that is killed meanwhile leaves all tables or none.
_CREATE = """
BEGIN;
CREATE TABLE IF NOT EXISTS candidates (
    id INTEGER PRIMARY KEY, round INTEGER NOT NULL, kind TEXT NOT NULL, formula TEXT NOT NULL, simplified TEXT NOT NULL,
    status TEXT NOT NULL, reward REAL NOT NULL, metric REAL, right_share REAL, signature INTEGER, seconds REAL NOT NULL,
    error TEXT NOT NULL, position INTEGER NOT NULL, epochs INTEGER NOT NULL, standard_error REAL,
    operators INTEGER
);
CREATE TABLE IF NOT EXISTS children (
    round INTEGER NOT NULL, kind TEXT NOT NULL, position INTEGER NOT NULL, epochs INTEGER NOT NULL, name TEXT NOT NULL,
    status TEXT NOT NULL, score REAL, seconds REAL NOT NULL, error TEXT NOT NULL, standard_error REAL,
    PRIMARY KEY (round, kind, position, epochs)
);
CREATE TABLE IF NOT EXISTS baseline_components (
    round INTEGER NOT NULL, epochs INTEGER NOT NULL, part INTEGER NOT NULL, components BLOB NOT NULL,
    PRIMARY KEY (round, epochs, part)
);
COMMIT;
"""
_INSERT_TRIAL = "INSERT OR REPLACE INTO children VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_INSERT_COMPONENTS = "INSERT OR REPLACE INTO baseline_components VALUES (?, ?, ?, ?)"
_STORED = np.dtype("<f4")
# Longer rows are not read.
_VALUES_A_PART = 2**20

#: The columns that tables of earlier versions lack, and their types.
ADDED = {
    "candidates": {"standard_error": "REAL", "operators": "INTEGER"},
    "children": {"standard_error": "REAL"},
}


def make_tables(connection: sqlite3.Connection) -> None:
    """Make missing tables, and add the columns that tables of earlier versions lack."""
    connection.executescript(_CREATE)
    for table, added in ADDED.items():
        known = columns_of(connection, table)
        for name, kind in added.items():
            if name not in known:
                connection.execute(f"ALTER TABLE {table} ADD COLUMN {name} {kind}")


def columns_of(connection: sqlite3.Connection, table: str) -> set[str]:
    """Return the names of a table's columns; none if it is not there."""
    return {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}


def insert_trials(connection: sqlite3.Connection, trials: Sequence[tuple[TrialKey, Evaluation]]) -> None:
    """Write trials, and the contributions of the reward rows where an evaluation holds them."""
    connection.executemany(_INSERT_TRIAL, [(*_key(key), *_result(evaluation)) for key, evaluation in trials])
    for key, evaluation in trials:
        if evaluation.components is not None:
            parts = evaluation.components.numpy().astype(_STORED)
            for part, start in enumerate(range(0, len(parts), _VALUES_A_PART)):
                stored = parts[start : start + _VALUES_A_PART].tobytes()
                connection.execute(_INSERT_COMPONENTS, (key.round, key.epochs, part, stored))


def select_trials(connection: sqlite3.Connection) -> dict[TrialKey, Evaluation]:
    """Return all trials, without their weights."""
    components = _components(connection)
    trials = {}
    for row in _rows(connection, "children"):
        key, (status, score, seconds, error, *later) = TrialKey(*row[:5]), row[5:]
        trials[key] = Evaluation(
            status,
            score,
            seconds,
            error,
            components=components.get((key.round, key.epochs)) if key.is_baseline else None,
            standard_error=later[0] if later else None,
        )
    return trials


def _components(connection: sqlite3.Connection) -> dict[tuple[int, int], Tensor]:
    parts: dict[tuple[int, int], bytes] = {}
    for moves, epochs, _, stored in _rows(connection, "baseline_components"):
        if isinstance(stored, bytes):
            parts[moves, epochs] = parts.get((moves, epochs), b"") + stored
    whole = {key: stored for key, stored in parts.items() if len(stored) % _STORED.itemsize == 0}
    return {key: torch.from_numpy(np.frombuffer(stored, _STORED).astype(np.float32)) for key, stored in whole.items()}


def _rows(connection: sqlite3.Connection, table: str) -> list[tuple[Any, ...]]:
    return connection.execute(f"SELECT * FROM {table}").fetchall() if columns_of(connection, table) else []  # noqa: S608


def _key(key: TrialKey) -> tuple[int, str, int, int, str]:
    return key.round, key.kind, key.position, key.epochs, key.name


def _result(evaluation: Evaluation) -> tuple[str, float | None, float, str, float | None]:
    return evaluation.status, evaluation.score, evaluation.seconds, evaluation.error, evaluation.standard_error
