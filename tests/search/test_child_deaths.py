"""A child that dies or hangs costs itself alone."""

from pathlib import Path

import pytest

from lightning_modules.losses import BCE, MSE
from lightning_modules.search.ledger import read_ledger
from tests.search.deadly_losses import Deadly, Hanging
from tests.search.small_studies import Stops, search


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_a_child_that_kills_its_process_is_tried_twice_and_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Stops(monkeypatch)
    references = [BCE(), Deadly(str(tmp_path / "deaths")), MSE()]
    search(tmp_path / "deadly", rounds=1, references=references, executor="process", workers=1)
    assert (tmp_path / "deaths").stat().st_size == 2
    ledger = read_ledger(tmp_path / "deadly")
    (failed,) = ledger.query("status == 'failed'").to_dict("records")
    assert failed["formula"].startswith("Deadly")
    assert failed["reward"] == -1.0
    assert "its process died, and so it did on a second try" in failed["error"]
    assert ledger["status"].tolist() == ["trained", "failed"] + ["trained"] * 4
    # The others are what they would have been without it.
    search(tmp_path / "alone", rounds=1, references=[BCE(), MSE()])
    alone = read_ledger(tmp_path / "alone")
    assert ledger.query("status == 'trained'")["metric"].tolist() == alone["metric"].tolist()
    search(tmp_path / "deadly", rounds=1, references=references)
    assert (tmp_path / "deaths").stat().st_size == 2


@pytest.mark.timeout(100)
def test_a_child_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Stops(monkeypatch)
    search(tmp_path / "hanging", rounds=1, references=[BCE(), Hanging(), MSE()], child_timeout=4.0)
    ledger = read_ledger(tmp_path / "hanging")
    assert ledger["status"].tolist() == ["trained", "failed"] + ["trained"] * 4
    assert ledger["error"][1] == "TimeoutError: took more than 4 s"
    assert 4.0 <= ledger["seconds"][1] < 30.0
