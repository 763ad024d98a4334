import math
import signal
import sqlite3
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import torch

from lightning_modules.search.events import SearchProgress
from lightning_modules.search.ledger import (
    LEDGER_NAME,
    Ledger,
    read_compared_round,
    read_ledger,
    read_rounds,
    read_trials,
)
from lightning_modules.search.space import SearchSpace
from lightning_modules.search.trial import Evaluation, TrialKey
from lightning_modules.training.tuning import Setting
from tests.search.observer_helpers import candidate, reference, round_summary

CANDIDATES = [
    reference("BCE", 0.0),
    candidate(formula="max(pred, label)", reward=0.1 + 0.2, metric=1 / 3, seconds=1e-7),
    candidate(
        position=2,
        status="failed",
        reward=-1.0,
        metric=None,
        error="'quotes', \"more\"; DROP TABLE candidates",
    ),
    candidate(position=3, status="non-finite", reward=-1.0, metric=None),
]


def test_a_child_is_on_disk_at_once_and_a_candidate_with_the_next_child_or_round(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "new" / "study")

    def counts() -> tuple[int, int]:
        return len(read_trials(ledger.path.parent)), len(read_ledger(ledger.path.parent))

    for number, each in enumerate(CANDIDATES):
        ledger.record([(TrialKey(0, "reference", number, 0, each.formula), Evaluation("trained", 0.5, 0.1))])
        assert counts() == (number + 1, number)
        ledger.on_candidate(each)
    ledger.on_round(round_summary(1, SearchSpace()))
    assert counts() == (len(CANDIDATES), len(CANDIDATES))
    ledger.on_end()


def test_what_was_written_is_read(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    for each in CANDIDATES:
        ledger.on_candidate(each)
    ledger.on_end()
    rows = read_ledger(tmp_path).to_dict("records")
    assert [row.pop("id") for row in rows] == [1, 2, 3, 4]
    for row, each in zip(rows, CANDIDATES, strict=True):
        read = {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in row.items()}
        assert read == asdict(each)


def test_a_ledger_is_continued_and_holds_nothing_twice(tmp_path: Path) -> None:
    for added in (CANDIDATES[:2], CANDIDATES):
        ledger = Ledger(tmp_path)
        for each in added:
            ledger.on_candidate(each)
        ledger.on_end()
    assert read_ledger(tmp_path)["formula"].tolist() == [each.formula for each in CANDIDATES]


def test_lost_candidates_of_finished_rounds_come_back(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.on_resume(SearchProgress(warm_up=3, rounds=1, candidates=tuple(CANDIDATES)))
    ledger.on_end()
    assert read_ledger(tmp_path)["status"].tolist() == [each.status for each in CANDIDATES]


def test_trained_children_are_read_as_they_were_written(tmp_path: Path) -> None:
    children = {
        TrialKey(0, "baseline", 0, 0, "BCE"): Evaluation("trained", 0.1 + 0.2, 1e-7),
        TrialKey(1, "candidate", 1, 3, "pred - label"): Evaluation(
            "failed", None, 0.5, "ValueError: 'quotes', \"more\""
        ),
        TrialKey(1, "candidate", 2, 3, "max(pred, label)"): Evaluation("non-finite", None, 0.5),
        TrialKey(1, "candidate", 3, 3, "(pred - label)**2"): Evaluation(
            "trained", 0.7, 0.5, setting=Setting(2e-3, 0.0), epoch=9
        ),
    }
    ledger = Ledger(tmp_path)
    ledger.record(list(children.items()))
    other = sqlite3.connect(ledger.path)
    assert other.execute("SELECT count(*) FROM children").fetchone() == (4,)
    other.close()
    ledger.on_end()
    assert read_trials(tmp_path) == children


def test_a_ledger_of_an_earlier_version_is_read_but_not_continued(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / LEDGER_NAME)
    connection.execute("CREATE TABLE candidates (id INTEGER PRIMARY KEY, formula TEXT)")
    connection.execute("INSERT INTO candidates VALUES (1, 'pred')")
    connection.commit()
    connection.close()
    assert read_ledger(tmp_path)["formula"].tolist() == ["pred"]
    with pytest.raises(ValueError, match="earlier version, which can be read but not continued"):
        Ledger(tmp_path)


@pytest.mark.parametrize("kept", [0.5, 0.9])
def test_a_torn_ledger_is_refused(tmp_path: Path, kept: float) -> None:
    ledger = Ledger(tmp_path)
    for number in range(200):
        ledger.on_candidate(candidate(position=number, error="x" * 300))
    ledger.on_end()
    whole = ledger.path.read_bytes()
    ledger.path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(ValueError, match=LEDGER_NAME):
        Ledger(tmp_path)


def test_a_place_that_cannot_be_written_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / LEDGER_NAME).symlink_to(tmp_path / "absent" / "ledger")
    with pytest.raises(OSError, match=rf"{LEDGER_NAME}' cannot be written: .*check the folder's permissions"):
        Ledger(tmp_path)


def test_a_root_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for root in (tmp_path / "file", tmp_path / "file" / "study"):
        with pytest.raises(OSError, match="file"):
            Ledger(root)


def test_a_write_that_fails_later_is_an_error_too(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    other = sqlite3.connect(ledger.path)
    other.execute("DROP TABLE candidates")
    other.commit()
    other.close()
    ledger.on_candidate(CANDIDATES[0])
    with pytest.raises(OSError, match="cannot be written"):
        ledger.on_round(round_summary(1, SearchSpace()))
    ledger.on_end()


def test_a_folder_without_a_study_is_an_error_and_stays_empty(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="holds no study"):
        read_ledger(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_reading_changes_nothing(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "a folder#1%")
    ledger.on_candidate(CANDIDATES[0])
    ledger.on_end()
    before = ledger.path.read_bytes()
    assert read_ledger(tmp_path / "a folder#1%")["formula"].tolist() == ["BCE"]
    assert ledger.path.read_bytes() == before


def test_a_ledger_without_a_child_leaves_the_folder_free(tmp_path: Path) -> None:
    Ledger(tmp_path).on_end()
    assert not (tmp_path / LEDGER_NAME).exists()
    ledger = Ledger(tmp_path)
    ledger.record([(TrialKey(0, "baseline", 0, 0, "BCE"), Evaluation("trained", 0.5, 0.1))])
    ledger.on_end()
    Ledger(tmp_path).on_end()
    assert (tmp_path / LEDGER_NAME).exists()


class Interrupting:
    """A connection after whose next commit SIGTERM arrives."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.interrupts = True

    def __getattr__(self, name: str) -> object:
        return getattr(self.connection, name)

    def __enter__(self) -> None:
        self.connection.__enter__()

    def __exit__(self, *error: Any) -> None:
        self.connection.__exit__(*error)
        if self.interrupts:
            self.interrupts = False
            signal.raise_signal(signal.SIGTERM)


@pytest.fixture
def _terminable() -> Iterator[None]:
    def end(number: int, frame: FrameType | None) -> None:
        raise SystemExit

    before = signal.signal(signal.SIGTERM, end)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("_terminable")
def test_a_signal_right_after_a_commit_loses_and_doubles_nothing(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger._connection = Interrupting(ledger._connection)  # type: ignore[assignment]
    ledger.on_candidate(CANDIDATES[0])
    child = (TrialKey(1, "candidate", 1, 0, "pred"), Evaluation("trained", 0.5, 0.1))
    with pytest.raises(SystemExit):
        ledger.record([child])
    ledger.on_end()
    assert read_ledger(tmp_path)["formula"].tolist() == ["BCE"]
    assert read_trials(tmp_path) == dict([child])


@pytest.mark.usefixtures("_terminable")
def test_a_signal_right_after_the_first_child_leaves_it_there(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger._connection = Interrupting(ledger._connection)  # type: ignore[assignment]
    child = (TrialKey(0, "baseline", 0, 0, "BCE"), Evaluation("trained", 0.5, 0.1))
    with pytest.raises(SystemExit):
        ledger.record([child])
    ledger.on_end()
    assert read_trials(tmp_path) == dict([child])


def changed(root: Path, script: str) -> Path:
    """Return a folder whose ledger of one candidate and one child a script has changed, whatever its constraints."""
    ledger = Ledger(root)
    ledger.on_candidate(CANDIDATES[1])
    ledger.record([(TrialKey(1, "candidate", 1, 0, "pred"), Evaluation("trained", 0.5, 0.1))])
    ledger.on_end()
    with sqlite3.connect(root / LEDGER_NAME) as connection:
        connection.executescript(
            "PRAGMA writable_schema = ON; UPDATE sqlite_master SET sql = replace(sql, 'NOT NULL', '')"
        )
    with sqlite3.connect(root / LEDGER_NAME) as connection:
        connection.executescript(script)
    return root


@pytest.mark.parametrize(
    ("value", "column"),
    [
        ("'much'", "reward"),
        ("NULL", "reward"),
        ("9e999", "reward"),
        ("-9e999", "metric"),
        ("x'00ff'", "formula"),
        ("NULL", "formula"),
        ("'first'", "round"),
        ("-1", "round"),
        ("1e300", "round"),
        ("'x'", "signature"),
        ("x'ff'", "error"),
    ],
)
def test_a_value_of_another_type_is_refused_with_its_row(tmp_path: Path, value: str, column: str) -> None:
    root = changed(tmp_path, f"UPDATE candidates SET {column} = {value}")
    with pytest.raises(ValueError, match=rf"cannot be read as a ledger: row 1 of its table candidates .* {column}"):
        read_ledger(root)
    with pytest.raises(ValueError, match="cannot be read as a ledger"):
        Ledger(root)


@pytest.mark.parametrize(
    "change",
    ["score = 'x'", "position = x'ff'", "seconds = NULL", "status = x'ff'", "best_epoch = -1", "weight_decay = 'x'"],
)
def test_a_child_of_another_type_is_refused(tmp_path: Path, change: str) -> None:
    with pytest.raises(ValueError, match="row 1 of its table children"):
        read_trials(changed(tmp_path, f"UPDATE children SET {change}"))


@pytest.mark.parametrize("rounds", ["'x'", "-1", "NULL", "x'ff'"])
def test_a_number_of_finished_rounds_of_another_type_is_refused(tmp_path: Path, rounds: str) -> None:
    root = changed(tmp_path, f"UPDATE progress SET rounds = {rounds}")
    for read in (read_rounds, Ledger):
        with pytest.raises(ValueError, match="row 1 of its table progress"):
            read(root)
    with sqlite3.connect(root / LEDGER_NAME) as connection:
        connection.execute(f"INSERT INTO validated (round, formula, is_answer) VALUES ({rounds}, 'pred', 0)")
    with pytest.raises(ValueError, match="row 1 of its table validated"):
        read_compared_round(root)


@pytest.mark.parametrize("table", ["candidates", "children"])
def test_tables_that_are_computed_are_refused_at_once(tmp_path: Path, table: str) -> None:
    endless = f"""
        DROP TABLE {table};
        CREATE VIEW {table} AS WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n) SELECT id FROM n;
    """
    root = changed(tmp_path, endless)
    for read in (read_ledger, read_trials, Ledger):
        with pytest.raises(ValueError, match=f"it holds a view, '{table}'"):
            read(root)


def test_a_trigger_is_refused(tmp_path: Path) -> None:
    root = changed(tmp_path, "CREATE TRIGGER t AFTER INSERT ON candidates BEGIN UPDATE candidates SET reward = 1; END")
    with pytest.raises(ValueError, match="it holds a trigger"):
        Ledger(root)


def test_a_ledger_without_a_column_is_not_continued(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"ledger|not continued"):
        Ledger(changed(tmp_path, "ALTER TABLE candidates DROP COLUMN reward"))


def test_further_columns_are_no_harm(tmp_path: Path) -> None:
    root = changed(tmp_path, "ALTER TABLE children ADD COLUMN note; ALTER TABLE candidates ADD COLUMN note")
    assert read_ledger(root)["formula"].tolist() == ["max(pred, label)"]
    assert list(read_trials(root)) == [TrialKey(1, "candidate", 1, 0, "pred")]


def test_what_the_rows_add_to_baselines_is_read_as_it_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lightning_modules.search.ledger_tables._VALUES_A_PART", 7)
    components = [torch.randn(rows, generator=torch.Generator().manual_seed(rows)) for rows in (20, 21)]
    ledger = Ledger(tmp_path)
    for moves, each in enumerate(components):
        key = TrialKey(moves, "baseline", 0, 3, "BCE")
        ledger.record([(key, Evaluation("trained", 0.5, 0.1, components=each, standard_error=0.02))])
    ledger.record([(TrialKey(0, "candidate", 1, 3, "pred"), Evaluation("trained", 0.5, 0.1, standard_error=0.01))])
    ledger.on_end()
    found = read_trials(tmp_path)
    for moves, each in enumerate(components):
        read = found[TrialKey(moves, "baseline", 0, 3, "BCE")]
        assert read.components is not None
        assert torch.equal(read.components, each)
        assert read.standard_error == 0.02
    other = found[TrialKey(0, "candidate", 1, 3, "pred")]
    assert (other.components, other.standard_error) == (None, 0.01)


def test_a_ledger_without_standard_errors_is_gone_on_with(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.record([(TrialKey(0, "baseline", 0, 0, "BCE"), Evaluation("trained", 0.5, 0.1))])
    ledger.on_candidate(CANDIDATES[0])
    ledger.on_end()
    old = sqlite3.connect(ledger.path)
    for table in ("candidates", "children"):
        for column in ("standard_error", "learning_rate", "weight_decay", "best_epoch", "temperature"):
            old.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
    old.execute("ALTER TABLE candidates DROP COLUMN operators")
    old.execute("DROP TABLE baseline_components")
    old.commit()
    old.close()
    assert read_ledger(tmp_path)[["standard_error", "operators"]].isna().all(axis=None)
    assert [child.score for child in read_trials(tmp_path).values()] == [0.5]
    ledger = Ledger(tmp_path)
    ledger.record([(TrialKey(1, "candidate", 1, 0, "pred"), Evaluation("trained", 0.6, 0.1, standard_error=0.01))])
    ledger.on_candidate(candidate(standard_error=0.01, operators=2))
    ledger.on_end()
    assert read_ledger(tmp_path)["standard_error"].tolist() == [pytest.approx(math.nan, nan_ok=True), 0.01]
    assert read_ledger(tmp_path)["operators"].tolist() == [pytest.approx(math.nan, nan_ok=True), 2]
    assert read_ledger(tmp_path)["best_epoch"].tolist() == [0, 0]
    assert [child.standard_error for child in read_trials(tmp_path).values()] == [None, 0.01]
