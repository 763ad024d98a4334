"""A search that was stopped and went on ends, bit for bit, as one that nobody stopped."""

import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from benchmarks.common.study_comparison import differences
from lightning_modules.search.ledger import LEDGER_NAME, read_trials
from lightning_modules.utilities.folder_lock import folder_lock
from tests.search.small_studies import TUNING, Stops, interrupted, newest_first, search, trainings, truncate

KINDS: dict[str, dict[str, Any]] = {
    "ppo alternate": {"strategy": "ppo", "alternate": True},
    "reinforce ladder": {"strategy": "reinforce", "ladder": [1, 2]},
    "evolution alternate ladder": {"strategy": "evolution", "alternate": True, "ladder": [1, 2]},
    "reinforce tuned ladder": {"strategy": "reinforce", "tuning": TUNING, "epochs": 3, "ladder": [1, 3]},
    "ppo tuned alternate": {"strategy": "ppo", "tuning": TUNING, "epochs": 3, "alternate": True, "population": 4},
    "random absolute": {"strategy": "random", "relative": False, "warmup_updates": 0},
}


@pytest.fixture
def stops(monkeypatch: pytest.MonkeyPatch) -> Stops:
    return Stops(monkeypatch)


def copied(study: Path, to: Path) -> Path:
    """Copy a study that was made once for many tests."""
    return Path(shutil.copytree(study, to))


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Make the studies that tests copy: whole ones, and one of three rounds that was stopped when it had two states."""
    root = tmp_path_factory.mktemp("studies")
    with pytest.MonkeyPatch.context() as patch:
        stops = Stops(patch)
        search(root / "whole", rounds=3)
        search(root / "alternate", alternate=True)
        stops.every_state = True
        with stops.at(70):
            assert interrupted(partial(search, root / "stopped", rounds=3))
    assert len(newest_first(root / "stopped")) == 2
    return {path.name: path for path in root.iterdir()}


@pytest.fixture
def whole(studies: dict[str, Path], tmp_path: Path) -> Path:
    return copied(studies["whole"], tmp_path / "whole")


@pytest.fixture
def stopped(studies: dict[str, Path], tmp_path: Path) -> Path:
    return copied(studies["stopped"], tmp_path / "stopped")


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
def test_a_search_stopped_at_every_step_one_after_another(stops: Stops, kind: dict[str, Any], tmp_path: Path) -> None:
    search(tmp_path / "whole", **kind)
    root = tmp_path / "stopped"
    times, step = 0, 1
    # Every process gets a step further in what is new, and is stopped there.
    while step < 400:
        with stops.at(step):
            if not interrupted(partial(search, root, **kind)):
                break
        times += 1
        step = step + 1 if step < 12 else step + 7
    assert times > 12
    assert differences(tmp_path / "whole", root) == []


def test_a_search_stopped_once_anywhere(stops: Stops, studies: dict[str, Path], tmp_path: Path) -> None:
    # Of 88 steps.
    for step in (3, 44, 85):
        root = tmp_path / f"stopped{step}"
        with stops.at(step):
            assert interrupted(partial(search, root, alternate=True))
        search(root, alternate=True)
        assert differences(studies["alternate"], root) == [], f"stopped at step {step}"


def test_a_tuned_search_stopped_once_anywhere(stops: Stops, tmp_path: Path) -> None:
    options: dict[str, Any] = {"strategy": "random", "tuning": TUNING, "epochs": 3, "population": 4}
    search(tmp_path / "whole", **options)
    for step in (5, 40, 75):
        root = tmp_path / f"stopped{step}"
        with stops.at(step):
            assert interrupted(partial(search, root, **options))
        search(root, **options)
        assert differences(tmp_path / "whole", root) == [], f"stopped at step {step}"


def test_known_trials_are_not_run_again(
    stops: Stops, whole: Path, stopped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = len(read_trials(stopped))
    again = trainings(monkeypatch)
    search(stopped, rounds=3)
    assert len(again) == len(read_trials(whole)) - known
    del again[:]
    search(stopped, rounds=3)
    assert again == []
    assert differences(whole, stopped) == []


def test_a_damaged_newest_state_falls_back_to_the_one_before(stops: Stops, whole: Path, stopped: Path) -> None:
    newest = newest_first(stopped)[0]
    truncate(newest)
    with pytest.warns(UserWarning, match=rf"'{newest}' cannot be read .*goes on from the state before it"):
        search(stopped, rounds=3)
    assert differences(whole, stopped) == []


@pytest.mark.filterwarnings("ignore:.*cannot be read")
def test_without_any_state_the_ledger_is_enough(
    stops: Stops, whole: Path, stopped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in newest_first(stopped):
        truncate(path, 0.0)
    known, again = len(read_trials(stopped)), trainings(monkeypatch)
    search(stopped, rounds=3)
    assert differences(whole, stopped) == []
    assert len(again) == len(read_trials(whole)) - known


@pytest.mark.parametrize("share", [0.0, 0.6])
@pytest.mark.filterwarnings("ignore:.*cannot be read as a ledger", "ignore:.*is damaged")
def test_a_torn_ledger_gets_its_candidates_back(stops: Stops, whole: Path, stopped: Path, share: float) -> None:
    torn = stopped / LEDGER_NAME
    truncate(torn, share)
    search(stopped, rounds=3)
    assert differences(whole, stopped, without=["trials"]) == []
    assert torn.with_suffix(".damaged").exists() == (share > 0)


def test_a_torn_ledger_without_a_state_is_refused(stops: Stops, stopped: Path) -> None:
    shutil.rmtree(stopped / "states")
    truncate(stopped / LEDGER_NAME, 0.6)
    with pytest.raises(ValueError, match=LEDGER_NAME):
        search(stopped, rounds=3)


def test_a_finished_study_goes_on_for_more_rounds(stops: Stops, whole: Path, tmp_path: Path) -> None:
    root = tmp_path / "shorter"
    search(root, rounds=1)
    search(root, rounds=3)
    assert differences(whole, root) == []


def test_changed_settings_are_refused_one_by_one(stops: Stops, whole: Path) -> None:
    before = (whole / LEDGER_NAME).read_bytes()
    with pytest.raises(ValueError, match="was begun with other settings") as refused:
        search(whole, rounds=3, strategy="evolution", ladder=[1, 2], workers=2, top=3)
    assert "search.strategy was ppo and is evolution" in str(refused.value)
    assert "search.ladder was None and is [1, 2]" in str(refused.value)
    assert "workers" not in str(refused.value)
    assert (whole / LEDGER_NAME).read_bytes() == before


def test_a_second_writer_is_refused(stops: Stops, whole: Path) -> None:
    with (
        folder_lock(whole, "search", "name another"),
        pytest.raises(ValueError, match="is being written by another search"),
    ):
        search(whole, rounds=3)


def test_leftovers_of_a_killed_process_are_removed(stops: Stops, stopped: Path) -> None:
    leftovers = [stopped / ".config.yaml.1.tmp", stopped / "states" / ".000001.pt.1.tmp"]
    for path in leftovers:
        path.write_text("half")
    search(stopped, rounds=3)
    assert not any(path.exists() for path in leftovers)


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_workers_go_on_with_what_one_process_began(stops: Stops, whole: Path, tmp_path: Path) -> None:
    root = tmp_path / "stopped"
    stops.every_state = True
    with stops.at(40):
        assert interrupted(partial(search, root, rounds=3))
    stops.every_state = False
    search(root, rounds=3, executor="process", workers=2)
    assert differences(whole, root) == []


@pytest.mark.parametrize("share", [pytest.param(0.0, marks=pytest.mark.slow), 0.7])
def test_lost_weights_of_the_best_candidate_are_trained_again(
    stops: Stops, studies: dict[str, Path], tmp_path: Path, share: float
) -> None:
    root = tmp_path / "stopped"
    with stops.at(34):
        assert interrupted(partial(search, root, alternate=True))
    truncate(root / "best_child.pt", share)
    search(root, alternate=True)
    assert differences(studies["alternate"], root) == []
