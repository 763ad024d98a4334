"""The SQLite tables of a ledger: how they are made, written and read."""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lightning_modules.search.trial import Evaluation, TrialKey
from lightning_modules.training.tuning import Setting

# In one transaction, so that a search that is killed meanwhile leaves all tables or none.
_CREATE = """
BEGIN;
CREATE TABLE IF NOT EXISTS candidates (
    id INTEGER PRIMARY KEY, round INTEGER NOT NULL, kind TEXT NOT NULL, formula TEXT NOT NULL, simplified TEXT NOT NULL,
    status TEXT NOT NULL, reward REAL NOT NULL, metric REAL, right_share REAL, signature INTEGER, seconds REAL NOT NULL,
    error TEXT NOT NULL, position INTEGER NOT NULL, epochs INTEGER NOT NULL, standard_error REAL,
    operators INTEGER, learning_rate REAL, weight_decay REAL, best_epoch INTEGER NOT NULL DEFAULT 0, temperature REAL
);
CREATE TABLE IF NOT EXISTS children (
    round INTEGER NOT NULL, kind TEXT NOT NULL, position INTEGER NOT NULL, epochs INTEGER NOT NULL, name TEXT NOT NULL,
    status TEXT NOT NULL, score REAL, seconds REAL NOT NULL, error TEXT NOT NULL, standard_error REAL,
    learning_rate REAL, weight_decay REAL, best_epoch INTEGER NOT NULL DEFAULT 0, temperature REAL,
    PRIMARY KEY (round, kind, position, epochs)
);
CREATE TABLE IF NOT EXISTS baseline_components (
    round INTEGER NOT NULL, epochs INTEGER NOT NULL, part INTEGER NOT NULL, components BLOB NOT NULL,
    PRIMARY KEY (round, epochs, part)
);
CREATE TABLE IF NOT EXISTS retrial_components (
    round INTEGER NOT NULL, epochs INTEGER NOT NULL, part INTEGER NOT NULL, components BLOB NOT NULL,
    PRIMARY KEY (round, epochs, part)
);
CREATE TABLE IF NOT EXISTS clock (id INTEGER PRIMARY KEY CHECK (id = 1), seconds REAL NOT NULL);
COMMIT;
"""
# Of the baseline, and of the baseline with another seed.
_COMPONENTS = ("baseline_components", "retrial_components")
_PARTS = ("round", "epochs", "part", "components")
_STORED = np.dtype("<f4")
# Longer rows are not read.
_VALUES_A_PART = 2**20

#: The columns that tables of earlier versions lack, and their types.
_OF_BEST = {
    "learning_rate": "REAL",
    "weight_decay": "REAL",
    "best_epoch": "INTEGER NOT NULL DEFAULT 0",
    "temperature": "REAL",
}
ADDED = {
    "candidates": {"standard_error": "REAL", "operators": "INTEGER", **_OF_BEST},
    "children": {"standard_error": "REAL", **_OF_BEST},
}


@dataclass(frozen=True)
class StoredTrial:
    """A row of the table of trials; see :class:`TrialKey` and :class:`Evaluation`.

    The last four are those of the best setting of a grid, and of its best epoch.
    """

    round: int
    kind: str
    position: int
    epochs: int
    name: str
    status: str
    score: float | None
    seconds: float
    error: str
    standard_error: float | None = None
    learning_rate: float | None = None
    weight_decay: float | None = None
    best_epoch: int = 0
    temperature: float | None = None

    @classmethod
    def of(cls, key: TrialKey, evaluation: Evaluation) -> "StoredTrial":
        """Return the row of a trial."""
        return cls(
            **asdict(key),
            status=evaluation.status,
            score=evaluation.score,
            seconds=evaluation.seconds,
            error=evaluation.error,
            standard_error=evaluation.standard_error,
            learning_rate=evaluation.learning_rate,
            weight_decay=evaluation.weight_decay,
            best_epoch=evaluation.epoch,
            temperature=evaluation.temperature,
        )

    @property
    def key(self) -> TrialKey:
        """The trial's key."""
        return TrialKey(self.round, self.kind, self.position, self.epochs, self.name)

    @property
    def evaluation(self) -> Evaluation:
        """The trial's result, without weights and contributions of rows."""
        setting = None
        if self.learning_rate is not None and self.weight_decay is not None:
            options = () if self.temperature is None else (("temperature", self.temperature),)
            setting = Setting(self.learning_rate, self.weight_decay, options)
        return Evaluation(
            self.status,
            self.score,
            self.seconds,
            self.error,
            standard_error=self.standard_error,
            setting=setting,
            epoch=self.best_epoch,
        )


@dataclass(frozen=True)
class StoredTime:
    """The row of the table of the search's time."""

    seconds: float


_COLUMNS = [field.name for field in fields(StoredTrial)]
_INSERT_TRIAL = f"INSERT OR REPLACE INTO children ({', '.join(_COLUMNS)}) VALUES (:{', :'.join(_COLUMNS)})"  # noqa: S608


def make_tables(connection: sqlite3.Connection) -> None:
    """Make missing tables, and add the columns that tables of earlier versions lack."""
    connection.executescript(_CREATE)
    add_columns(connection, ADDED)


def add_columns(connection: sqlite3.Connection, columns: Mapping[str, Mapping[str, str]]) -> None:
    """Add the columns that tables lack, given by their types by name by table."""
    for table, added in columns.items():
        known = columns_of(connection, table)
        for name, kind in added.items():
            if name not in known:
                connection.execute(f"ALTER TABLE {table} ADD COLUMN {name} {kind}")


def columns_of(connection: sqlite3.Connection, table: str) -> set[str]:
    """Return the names of a table's columns; none if it is not there."""
    return {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}


def insert_trials(connection: sqlite3.Connection, trials: Sequence[tuple[TrialKey, Evaluation]]) -> None:
    """Write trials, and the contributions of the reward rows where an evaluation holds them."""
    connection.executemany(_INSERT_TRIAL, [asdict(StoredTrial.of(key, evaluation)) for key, evaluation in trials])
    for key, evaluation in trials:
        if evaluation.components is not None:
            parts = evaluation.components.numpy().astype(_STORED)
            for part, start in enumerate(range(0, len(parts), _VALUES_A_PART)):
                stored = parts[start : start + _VALUES_A_PART].tobytes()
                insert = f"INSERT OR REPLACE INTO {_COMPONENTS[key.has_other_seed]} VALUES (?, ?, ?, ?)"  # noqa: S608
                connection.execute(insert, (key.round, key.epochs, part, stored))


def select_trials(connection: sqlite3.Connection) -> dict[TrialKey, Evaluation]:
    """Return all trials, without their weights."""
    components = [_components(connection, table) for table in _COMPONENTS]
    names = [name for name in _COLUMNS if name in columns_of(connection, "children")]
    trials = {}
    for row in _rows(connection, "children", names):
        stored = StoredTrial(**dict(zip(names, row, strict=True)))
        key = stored.key
        own = components[key.has_other_seed].get((key.round, key.epochs)) if key.is_baseline else None
        trials[key] = replace(stored.evaluation, components=own)
    return trials


def insert_seconds(connection: sqlite3.Connection, seconds: float) -> None:
    """Write the time that a search has taken."""
    connection.execute("INSERT OR REPLACE INTO clock VALUES (1, ?)", (seconds,))


def select_seconds(connection: sqlite3.Connection) -> float:
    """Return the time that a search has taken; 0 if that is unknown."""
    rows = connection.execute("SELECT seconds FROM clock").fetchall() if columns_of(connection, "clock") else []
    return max((float(seconds) for (seconds,) in rows), default=0.0)


def _components(connection: sqlite3.Connection, table: str) -> dict[tuple[int, int], Tensor]:
    parts: dict[tuple[int, int], bytes] = {}
    for moves, epochs, _, stored in _rows(connection, table, _PARTS):
        if isinstance(stored, bytes):
            parts[moves, epochs] = parts.get((moves, epochs), b"") + stored
    whole = {key: stored for key, stored in parts.items() if len(stored) % _STORED.itemsize == 0}
    return {key: torch.from_numpy(np.frombuffer(stored, _STORED).astype(np.float32)) for key, stored in whole.items()}


def _rows(connection: sqlite3.Connection, table: str, names: Sequence[str]) -> list[tuple[Any, ...]]:
    if not columns_of(connection, table):
        return []
    return connection.execute(f"SELECT {', '.join(names)} FROM {table}").fetchall()  # noqa: S608
