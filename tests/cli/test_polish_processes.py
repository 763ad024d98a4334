"""Polishes as processes of their own, ended by a signal and continued."""

import signal
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.common.fork_server import ForkServer
from lightning_modules.cli.main import main
from tests.cli.cli_helpers import status_when_ended
from tests.cli.test_polish import SMALL

# Every polish is one of several trainings in a process of its own.
pytestmark = pytest.mark.slow
# Long enough for a signal to arrive in the middle of a training.
COMMAND = [*SMALL, "--trainer.max_epochs=6", "--patience=6", "--variants", "one_minus_q", "--weightings=[]"]


def done(root: Path) -> int:
    path = root / "results.csv"
    return len(pd.read_csv(path)) if path.is_file() else 0


def without_seconds(root: Path) -> pd.DataFrame:
    return pd.read_csv(root / "results.csv").drop(columns="seconds")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("polish") / "whole"
    assert main([*COMMAND, f"--root={folder}"]) == 0
    return folder


@pytest.mark.parametrize(
    ("number", "status", "after"),
    [(signal.SIGINT, 130, 0), (signal.SIGTERM, 143, 2), (signal.SIGKILL, -signal.SIGKILL, 5)],
)
def test_a_polish_goes_on_where_it_was_ended(
    number: signal.Signals, status: int, after: int, server: ForkServer, whole: Path, tmp_path: Path
) -> None:
    root = tmp_path / "broken"
    command = [*COMMAND, f"--root={root}"]

    def is_due() -> bool:
        return any(root.glob("events.out.tfevents.*.seed_42.base")) and done(root) >= after

    assert status_when_ended(server, command, number, is_due) == status
    assert not (root / "summary.md").exists()
    seconds = pd.read_csv(root / "results.csv")["seconds"].tolist() if after else []
    assert main(command) == 0
    # What was done has its old seconds, so it was not trained again.
    assert pd.read_csv(root / "results.csv")["seconds"].tolist()[: len(seconds)] == seconds
    pd.testing.assert_frame_equal(without_seconds(root), without_seconds(whole), check_exact=True)
    assert (root / "summary.md").read_text() == (whole / "summary.md").read_text()
