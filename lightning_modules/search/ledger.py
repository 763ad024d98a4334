"""The ledger of a study: an SQLite file of all trials and candidates, written as soon as they are known."""

import math
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import pandas as pd

from lightning_modules.search.answer import FinalistRun, ValidatedFormula, Validation
from lightning_modules.search.events import Candidate, RoundSummary, SearchObserver, SearchProgress
from lightning_modules.search.finalist_tables import (
    insert_finalist,
    insert_validation,
    make_finalist_tables,
    select_finalists,
    select_validated,
)
from lightning_modules.search.ledger_checks import limit, refuse_programs, refuse_wrong_types
from lightning_modules.search.ledger_tables import (
    ADDED,
    StoredTime,
    StoredTrial,
    columns_of,
    insert_seconds,
    insert_trials,
    make_tables,
    select_seconds,
    select_trials,
)
from lightning_modules.search.limits import SearchClock
from lightning_modules.search.rewards import with_failure_rewards
from lightning_modules.search.trial import Evaluation, TrialKey
from lightning_modules.training.statuses import FAILED
from lightning_modules.utilities.signals import deferred_signals

#: Name of the ledger inside a study's folder.
LEDGER_NAME = "ledger.sqlite"

_COLUMNS = [field.name for field in fields(Candidate)]
_NEEDED = {*_COLUMNS} - ADDED["candidates"].keys()
_INSERT = f"INSERT INTO candidates ({', '.join(_COLUMNS)}) VALUES ({', '.join(':' + name for name in _COLUMNS)})"  # noqa: S608
# Ledgers of earlier versions lack it.
_CREATE_PROGRESS = (
    "CREATE TABLE IF NOT EXISTS progress (id INTEGER PRIMARY KEY CHECK (id = 1), rounds INTEGER NOT NULL)"
)


@dataclass(frozen=True)
class StoredProgress:
    """The row of the table of finished rounds."""

    rounds: int


@dataclass(frozen=True)
class StoredRound:
    """The round after which finalists were compared."""

    round: int


class Ledger(SearchObserver):
    """Writes the trials and candidates of one study.

    The table ``children`` holds every trial, in the order in which they ended, so that a continued search does not
    repeat it; it is on disk before the search goes on. So does ``finalists`` with the full trainings of the finalists,
    and ``validated`` holds what these came to. ``baseline_components`` holds the contribution of every reward
    row to a baseline's score, ``candidates`` the candidates in the order of the search, and ``progress`` the number of
    finished rounds. Candidates follow from trials, so they are written with the next of these: one write to the disk
    may take as long as a fast trial.

    Finalists that failed are forgotten when the file is opened, so that they are trained again; see
    :func:`read_finalists`.

    Args:
        root: The study's folder; made if it is not there. A study that it holds is continued.
        clock: The time that the search has taken, which is written with the trials; by default only what passes now.

    Raises:
        OSError: If the ledger cannot be written.
        ValueError: If the file there is no ledger, is damaged, or is of an earlier version.
    """

    def __init__(self, root: str | Path, clock: SearchClock | None = None) -> None:
        self.path = Path(root) / LEDGER_NAME
        self.path.parent.mkdir(parents=True, exist_ok=True)
        #: Finished rounds; None until one ends in a ledger of an earlier version, which does not tell them.
        self._rounds: int | None = 0
        if self.path.exists():
            check_ledger(root)
            self._rounds = read_rounds(root)
        with self._errors():
            self._connection = sqlite3.connect(self.path)
            make_tables(self._connection)
            make_finalist_tables(self._connection)
            self._connection.execute(_CREATE_PROGRESS)
            self._forget_failed_finalists()
            self._known = set(self._connection.execute("SELECT round, kind, position FROM candidates"))
        self._clock = clock or SearchClock()
        self._waiting: list[Candidate] = []
        self._of_use = bool(self._known) or any(trial.score is not None for trial in read_trials(root).values())

    def on_resume(self, progress: SearchProgress) -> None:
        """Add candidates of finished rounds that a damaged ledger has lost."""
        self._rounds = max(self._rounds or 0, progress.rounds)
        for candidate in progress.candidates:
            self.on_candidate(candidate)

    def on_candidate(self, candidate: Candidate) -> None:
        """Queue a candidate for the next write, unless it was there when the ledger was opened."""
        if (candidate.round, candidate.kind, candidate.position) not in self._known:
            self._waiting.append(candidate)
            self._of_use = True

    def on_round(self, summary: RoundSummary) -> None:
        """Write the round's candidates to disk, and that it is finished.

        Raises:
            OSError: If the disk is full or the file cannot be written.
        """
        self._rounds = max(self._rounds or 0, summary.round)
        self.record([])

    def record(self, trials: Sequence[tuple[TrialKey, Evaluation]]) -> None:
        """Write finished trials to disk, all of them or none, and the queued candidates.

        Raises:
            OSError: If the disk is full or the file cannot be written.
        """
        # A signal between the commit and the clearing of the queue would have candidates written twice.
        with deferred_signals():
            with self._errors(), self._connection:
                self._connection.executemany(_INSERT, [asdict(candidate) for candidate in self._waiting])
                insert_trials(self._connection, trials)
                insert_seconds(self._connection, self._clock.seconds)
                self._insert_rounds(begun=bool(trials))
            self._waiting.clear()
            self._of_use |= any(evaluation.score is not None for _, evaluation in trials)

    def record_finalist(self, runs: Sequence[FinalistRun]) -> None:
        """Write the trainings of a finalist to disk, all of them or none; raises like :meth:`record`."""
        with deferred_signals(), self._errors(), self._connection:
            insert_finalist(self._connection, runs)

    def on_validation(self, validation: Validation) -> None:
        """Write what became of the finalists to disk; raises like :meth:`record`."""
        with deferred_signals(), self._errors(), self._connection:
            insert_validation(self._connection, validation)

    def on_end(self) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file; one in which nothing was trained is removed, so that a corrected command can use the folder.

        A second call does nothing.
        """
        if self._waiting:
            # They follow from the trials, so that the error that ended the search matters more than this one.
            with suppress(OSError):
                self.record([])
            self._waiting.clear()
        self._connection.close()
        if not self._of_use:
            self.path.unlink(missing_ok=True)

    def _insert_rounds(self, *, begun: bool) -> None:
        # Of a file without trials nobody knows how far the search is that its candidates come from.
        if self._rounds or (self._rounds == 0 and begun):
            self._connection.execute("INSERT OR REPLACE INTO progress VALUES (1, ?)", (self._rounds,))

    def _forget_failed_finalists(self) -> None:
        names = [(name,) for name in _retried(self._connection)]
        with self._connection:
            self._connection.executemany("DELETE FROM finalists WHERE name = ?", names)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise OSError(
                f"the ledger '{self.path}' cannot be written: {error}. What it holds is kept; free some space or check "
                "the folder's permissions, then give the same command again, which continues the study."
            ) from error


def check_ledger(root: str | Path) -> None:
    """Refuse a ledger that no search can continue.

    Raises:
        ValueError: If the file is no ledger, is damaged, or is of an earlier version.
    """
    with _opened(root) as connection:
        columns = columns_of(connection, "candidates")
        ((integrity,), *_) = connection.execute("PRAGMA quick_check(1)")
        if columns >= _NEEDED:
            refuse_wrong_types(connection, "candidates", Candidate)
    if columns and not columns >= _NEEDED:
        raise ValueError(
            f"'{root}' holds a study of an earlier version, which can be read but not continued. Name a new folder."
        )
    if integrity != "ok":
        raise ValueError(f"'{Path(root) / LEDGER_NAME}' is damaged: {integrity}")


def read_ledger(root: str | Path) -> pd.DataFrame:
    """Read a study's candidates in the order in which they were found, one row each.

    The rewards of failed ones are below all others.

    Raises:
        FileNotFoundError: If the folder holds no ledger.
        ValueError: If the file there is no ledger or is damaged.
    """
    with _opened(root) as connection:
        refuse_wrong_types(connection, "candidates", Candidate)
        table = with_failure_rewards(pd.read_sql_query("SELECT * FROM candidates ORDER BY id", connection))
    # Earlier versions had fewer columns.
    return table.assign(**dict.fromkeys(ADDED["candidates"].keys() - {*table}, math.nan))


def read_trials(root: str | Path) -> Mapping[TrialKey, Evaluation]:
    """Read the trials of a study, without their weights; raises like :func:`read_ledger`."""
    with _opened(root) as connection:
        refuse_wrong_types(connection, "children", StoredTrial)
        return select_trials(connection)


def read_seconds(root: str | Path) -> float:
    """Read the seconds that a search has taken, all its processes together; raises like :func:`read_ledger`."""
    with _opened(root) as connection:
        refuse_wrong_types(connection, "clock", StoredTime)
        return select_seconds(connection)


def read_finalists(root: str | Path) -> Mapping[str, Sequence[FinalistRun]]:
    """Read the full trainings of a study's finalists by name; raises like :func:`read_ledger`.

    Those that failed are left out, since their cause may be gone: memory that was short, or a process that was killed.
    One whose failure later rounds have learned from is as it was, since otherwise these would not come out the same.
    """
    with _opened(root) as connection:
        refuse_wrong_types(connection, "finalists", FinalistRun)
        retried = _retried(connection)
        return {name: runs for name, runs in select_finalists(connection).items() if name not in retried}


def read_validated(root: str | Path) -> tuple[ValidatedFormula, ...]:
    """Read what became of a study's finalists when they were last compared; raises like :func:`read_ledger`."""
    with _opened(root) as connection:
        refuse_wrong_types(connection, "validated", ValidatedFormula)
        return select_validated(connection)


def read_compared_round(root: str | Path) -> int:
    """Read after which round finalists were last compared, 0 if they never were; raises like :func:`read_ledger`."""
    with _opened(root) as connection:
        if not columns_of(connection, "validated"):
            return 0
        refuse_wrong_types(connection, "validated", StoredRound)
        ((newest,),) = connection.execute("SELECT max(round) FROM validated")
        return int(newest or 0)


def read_rounds(root: str | Path) -> int | None:
    """Read the number of finished rounds; raises like :func:`read_ledger`.

    Returns:
        It; ``None`` in ledgers of earlier versions, which do not tell it.
    """
    with _opened(root) as connection:
        if not columns_of(connection, "progress"):
            return None
        refuse_wrong_types(connection, "progress", StoredProgress)
        found = connection.execute("SELECT rounds FROM progress").fetchone()
        return None if found is None else int(found[0])


def _retried(connection: sqlite3.Connection) -> set[str]:
    """Return the failed finalists that no later round has learned from."""
    if not (columns_of(connection, "finalists") and columns_of(connection, "validated")):
        return set()
    failed = connection.execute("SELECT name FROM finalists WHERE status = ?", (FAILED,))
    begun = "SELECT max(round) FROM children WHERE kind = 'candidate'"
    taught = connection.execute(f"SELECT formula FROM validated WHERE round < ({begun})")  # noqa: S608
    return {name for (name,) in failed} - {formula for (formula,) in taught}


@contextmanager
def _opened(root: str | Path) -> Iterator[sqlite3.Connection]:
    path = Path(root) / LEDGER_NAME
    if not path.is_file():
        raise FileNotFoundError(f"'{root}' holds no study: {LEDGER_NAME} is not there")
    try:
        # Not read-only: SQLite has to roll back a write that a killed search began.
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True)) as connection:
            limit(connection)
            refuse_programs(connection)
            yield connection
    except (sqlite3.Error, pd.errors.DatabaseError, ValueError) as error:
        raise ValueError(f"'{path}' cannot be read as a ledger: {error}") from error
