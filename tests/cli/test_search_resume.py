"""Searches that are killed, find the disk full or lose a child's process, and go on as if nothing had been."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.common.fork_server import ForkServer
from benchmarks.common.killing import STATUSES, Killer
from benchmarks.common.study_comparison import differences
from lightning_modules.utilities.folder_lock import folder_lock
from tests.cli.cli_helpers import DATA, MODEL, TRAINER

BUDGET = ["--search.rounds=2", "--search.candidates=3", "--search.references=[BCE]", "--search.top=1"]
PPO = [
    *("--search.strategy=PPO", "--search.strategy.warmup_draws=64", "--search.strategy.warmup_uniform=128"),
    *("--search.strategy.warmup_steps=2", "--search.strategy.imitation_batch=16", "--search.strategy.hidden_size=8"),
    *("--search.strategy.epochs=2", "--search.warmup_updates=2", "--search.draws=128"),
]
SEARCH = ["search", *DATA, *MODEL, *TRAINER, *BUDGET, *PPO, "--search.alternate=true"]
RANDOM = ["--search.strategy=RandomSearch", "--search.warmup_updates=0", "--search.alternate=false"]


def survives(killer: Killer, kills: int, workers: int) -> None:
    """Kill searches so often, and check what every death left and where the studies ended."""
    log = list(killer.kill(kills, longest=killer.run_whole(warm=True)))
    assert {kill.number for kill in log} == set(STATUSES)
    assert [kill for kill in log if not kill.in_order] == []
    assert [kill for kill in log if not 0 <= kill.lost <= workers] == []
    assert killer.differences() == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_search_that_is_killed_six_times(server: ForkServer, tmp_path: Path) -> None:
    survives(Killer(server, tmp_path, SEARCH, seed=1), kills=6, workers=1)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_search_that_is_killed_with_its_workers(server: ForkServer, tmp_path: Path) -> None:
    workers = ["--search.executor=process", "--search.workers=2"]
    survives(Killer(server, tmp_path, [*SEARCH, *workers], seed=2), kills=3, workers=2)


# Each limit is met by another file: the configuration, the ledger, the state or TensorBoard's.
@pytest.mark.parametrize(
    ("limit", "options"),
    [
        (9_000, []),
        *(pytest.param(*each, marks=pytest.mark.slow) for each in [(1_000, []), (30_000, [])]),
        *(pytest.param(limit, RANDOM, marks=pytest.mark.slow) for limit in (60_000, 20_000)),
    ],
)
@pytest.mark.timeout(120)
def test_a_full_disk_ends_a_search_that_goes_on_when_there_is_room(
    drawing_server: ForkServer, tmp_path: Path, whole: Callable[..., Path], limit: int, options: list[str]
) -> None:
    command = [*SEARCH, *options, f"--search.root={tmp_path / 'study'}"]
    assert drawing_server(command, tmp_path / "full.txt", file_size=limit).wait(60) == 1
    said = (tmp_path / "full.txt").read_text()
    assert "cannot be written" in said.strip().splitlines()[-1]
    assert "give the same command again, which continues the study" in said
    # TensorBoard's own thread, which the last limit ends, shows where.
    assert "Traceback" not in said.split("Exception in thread")[0]
    assert drawing_server(command, tmp_path / "again.txt").wait(60) == 0
    assert differences(whole(*options), tmp_path / "study") == []


@pytest.fixture(scope="module")
def whole(server: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return the folder of a search that nothing befell, by its options."""
    folder = tmp_path_factory.mktemp("whole")

    def run(*options: str) -> Path:
        root = folder / f"study{len(options)}"
        if not root.exists():
            assert server([*SEARCH, *options, f"--search.root={root}"], folder / "output.txt").wait(60) == 0
        return root

    return run


def test_a_second_search_in_the_folder_is_refused_and_names_the_first(server: ForkServer, tmp_path: Path) -> None:
    command = [*SEARCH, f"--search.root={tmp_path / 'study'}"]
    with folder_lock(tmp_path / "study", "search", "name another"):
        assert server(command, tmp_path / "output.txt").wait(60) == 1
    said = (tmp_path / "output.txt").read_text()
    assert f"is being written by another search (process {os.getpid()} on " in said
    assert server([*command, "--search.rounds=1", *RANDOM], tmp_path / "output.txt").wait(60) == 0


def test_a_changed_command_is_refused_key_by_key(server: ForkServer, whole: Callable[..., Path]) -> None:
    root = whole()
    output = root.parent / "changed.txt"
    changed = ["--model.embedding_dim=5", "--search.draws=64", "--seed_everything=1", "--search.workers=7"]
    assert server([*SEARCH, *changed, f"--search.root={root}"], output).wait(60) == 1
    said = output.read_text()
    for key in ("model.init_args.embedding_dim was 4 and is 5", "search.draws was 128 and is 64", "seed_everything"):
        assert key in said
    assert "workers" not in said
