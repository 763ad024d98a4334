"""A search ends with its rounds, its time or its patience, and goes on when these are raised."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.common.study_comparison import differences
from lightning_modules.search import limits as module
from lightning_modules.search.ledger import read_ledger, read_seconds
from lightning_modules.search.limits import SearchLimits
from lightning_modules.search.reports.summary import ranking
from lightning_modules.search.settings import SearchSettings
from lightning_modules.search.study import Study
from tests.search.small_studies import Stops, interrupted, search

#: The time that a reading of the clock takes, so that no test depends on the machine.
TICK = 10.0


@pytest.fixture
def stops(monkeypatch: pytest.MonkeyPatch) -> Stops:
    times = iter(range(10**9))
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: TICK * next(times)))
    return Stops(monkeypatch)


def rounds_of(root: Path) -> int:
    return int(read_ledger(root)["round"].max())


@pytest.mark.parametrize(
    ("rounds", "best_round", "seconds", "ends"),
    [(0, 0, 99, False), (1, 1, 59, False), (1, 1, 60, True), (3, 1, 0, False), (4, 1, 0, True), (9, 9, 0, True)],
)
def test_whichever_limit_comes_first_ends_the_search(rounds: int, best_round: int, seconds: float, ends: bool) -> None:
    limits = SearchLimits(9, time_budget=60, patience=3)
    assert bool(limits.ending(rounds, best_round, seconds)) is ends
    assert SearchLimits(10).ending(rounds, best_round, seconds) == ""


def test_the_words_name_the_option_that_continues() -> None:
    limits = SearchLimits(9, time_budget=600, patience=3)
    assert "after round 4 of 9, since none of the last 3" in limits.ending(4, 1, 0)
    assert "when its time of 10m was over. With a larger --search.time_budget" in limits.ending(2, 2, 601)


def test_a_study_that_time_ended_goes_on_as_if_there_had_been_more(
    stops: Stops, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "study"
    search(root, rounds=3, strategy="random", time_budget="1s")
    assert rounds_of(root) == 1
    assert "ended after round 1 of 3, when its time of 1s was over" in capsys.readouterr().out.replace("\n", " ")
    search(root, rounds=3, strategy="random", time_budget="1s")
    assert rounds_of(root) == 1
    search(root, rounds=3, strategy="random", time_budget="9d")
    search(tmp_path / "whole", rounds=3, strategy="random")
    assert differences(tmp_path / "whole", root) == []


def test_time_of_earlier_processes_counts(stops: Stops, tmp_path: Path) -> None:
    search(tmp_path, rounds=1, strategy="random")
    used = read_seconds(tmp_path)
    assert used > TICK
    search(tmp_path, rounds=2, strategy="random")
    assert read_seconds(tmp_path) > used
    search(tmp_path, rounds=9, strategy="random", time_budget=used)
    assert rounds_of(tmp_path) == 2


def test_a_round_that_was_interrupted_is_finished_when_the_time_is_over(stops: Stops, tmp_path: Path) -> None:
    options = {"rounds": 3, "strategy": "random"}
    with stops.at(60):
        assert interrupted(lambda: search(tmp_path / "stopped", **options))  # type: ignore[arg-type]
    begun = rounds_of(tmp_path / "stopped")
    search(tmp_path / "stopped", time_budget="1s", **options)  # type: ignore[arg-type]
    assert rounds_of(tmp_path / "stopped") == begun == 2
    search(tmp_path / "whole", **{**options, "rounds": begun})  # type: ignore[arg-type]
    assert differences(tmp_path / "whole", tmp_path / "stopped") == []


def test_patience_counts_rounds_since_the_best_formula(stops: Stops, tmp_path: Path) -> None:
    search(tmp_path, rounds=12, strategy="random", patience=2, warmup_updates=0)
    losses = ranking(read_ledger(tmp_path))
    best = int(losses[losses["kind"] == "candidate"]["round"].iloc[0])
    assert best + 2 == rounds_of(tmp_path) < 12
    search(tmp_path, rounds=12, strategy="random", patience=3, warmup_updates=0)
    assert rounds_of(tmp_path) > best + 2
    for budget, ended in (("1s", True), ("9d", False), ("null", False)):
        (tmp_path / "config.yaml").write_text(f"search: {{rounds: 50, time_budget: {budget}, patience: 40}}\n")
        assert Study.read(tmp_path).is_unfinished is not ended


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ({"patience": 0}, "--search.patience is 0, but a search needs at least 1 round"),
        ({"time_budget": "soon"}, "--search.time_budget: 'soon' is no duration"),
        ({"time_budget": -1.0}, "--search.time_budget: '-1.0' is no duration"),
    ],
)
def test_limits_that_leave_no_search_are_refused(option: dict[str, object], said: str) -> None:
    build: Callable[..., SearchSettings] = SearchSettings
    with pytest.raises(ValueError, match=said):
        build(**option)
