"""The record of a study: an SQLite file with one row for every candidate, on disk as soon as it is known."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path

import pandas as pd

from lightning_modules.search.watchers import Candidate, Watcher

#: Name of the ledger inside a study's folder.
LEDGER_NAME = "ledger.sqlite"


_COLUMNS = [field.name for field in fields(Candidate)]
_CREATE = """
CREATE TABLE candidates (
    id INTEGER PRIMARY KEY, round INTEGER NOT NULL, kind TEXT NOT NULL, formula TEXT NOT NULL, simplified TEXT NOT NULL,
    status TEXT NOT NULL, reward REAL NOT NULL, metric REAL, right_share REAL, signature INTEGER, seconds REAL NOT NULL,
    error TEXT NOT NULL
)
"""
_INSERT = f"INSERT INTO candidates ({', '.join(_COLUMNS)}) VALUES ({', '.join(':' + name for name in _COLUMNS)})"  # noqa: S608


class Ledger(Watcher):
    """Writes and reads the candidates of one study.

    Args:
        root: The study's folder; made if it is not there.

    Raises:
        FileExistsError: If the folder holds the ledger of another study.
        OSError: If the ledger cannot be written.
    """

    def __init__(self, root: str | Path) -> None:
        self.path = Path(root) / LEDGER_NAME
        if self.path.exists():
            raise FileExistsError(
                f"'{root}' holds the ledger of another study ({self.path.name}). "
                "Name a new folder, or move that one away."
            )
        self._empty = True
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._errors():
            self._connection = sqlite3.connect(self.path)
            self._connection.execute(_CREATE)
            self._connection.commit()

    def on_candidate(self, candidate: Candidate) -> None:
        """Write one candidate to disk.

        Raises:
            OSError: If the disk is full or the file cannot be written.
        """
        with self._errors(), self._connection:
            self._connection.execute(_INSERT, asdict(candidate))
        self._empty = False

    def on_end(self) -> None:
        """Close the file; one without a candidate is removed, so that a corrected command may use the folder."""
        self._connection.close()
        if self._empty:
            self.path.unlink(missing_ok=True)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise OSError(
                f"the ledger '{self.path}' cannot be written: {error}. What it holds is kept; free some space or check "
                "the folder's permissions, then start a study in a new folder."
            ) from error


def read_ledger(root: str | Path) -> pd.DataFrame:
    """Read a study's candidates in the order in which they were trained, one row each.

    Raises:
        FileNotFoundError: If the folder holds no ledger.
        ValueError: If the file there is no ledger or is damaged.
    """
    path = Path(root) / LEDGER_NAME
    if not path.is_file():
        raise FileNotFoundError(f"'{root}' holds no study: {LEDGER_NAME} is not there")
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    try:
        return pd.read_sql_query("SELECT * FROM candidates ORDER BY id", connection)
    except (sqlite3.Error, pd.errors.DatabaseError) as error:
        raise ValueError(f"'{path}' cannot be read as a ledger: {error}") from error
    finally:
        connection.close()
