import math
import sqlite3
from dataclasses import asdict
from pathlib import Path

import pytest
from watcher_helpers import candidate, reference

from lightning_modules.search.ledger import LEDGER_NAME, Ledger, read_ledger

CANDIDATES = [
    reference("BCE", 0.0),
    candidate(formula="max(pred, label)", reward=0.1 + 0.2, metric=1 / 3, seconds=1e-7),
    candidate(status="failed", reward=-1.0, metric=None, error="ValueError: 'quotes', \"more\"; DROP TABLE candidates"),
    candidate(status="non-finite", reward=-1.0, metric=None),
]


def test_every_row_is_on_disk_before_the_next_step(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "new" / "study")
    for number, each in enumerate(CANDIDATES, start=1):
        ledger.on_candidate(each)
        other = sqlite3.connect(ledger.path)
        assert other.execute("SELECT count(*) FROM candidates").fetchone() == (number,)
        other.close()
    table = read_ledger(tmp_path / "new" / "study")
    assert len(table) == len(CANDIDATES)
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


def test_the_ledger_of_another_study_is_refused_and_kept(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.on_candidate(CANDIDATES[0])
    ledger.on_end()
    with pytest.raises(FileExistsError, match=r"holds the ledger of another study .*Name a new folder"):
        Ledger(tmp_path)
    assert len(read_ledger(tmp_path)) == 1


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
    with pytest.raises(OSError, match="cannot be written"):
        ledger.on_candidate(CANDIDATES[0])
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


def test_a_ledger_without_candidates_leaves_the_folder_free(tmp_path: Path) -> None:
    Ledger(tmp_path).on_end()
    ledger = Ledger(tmp_path)
    ledger.on_candidate(candidate())
    ledger.on_end()
    with pytest.raises(FileExistsError):
        Ledger(tmp_path)
