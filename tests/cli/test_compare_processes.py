"""Comparisons as processes of their own: ended by a signal and continued, and run by two processes together."""

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from benchmarks.common.fork_server import ForkServer
from lightning_modules.cli.main import main
from tests.cli.cli_helpers import ENVIRONMENT, REPOSITORY, status_when_ended
from tests.cli.test_compare import COMPARE

# Every comparison is one of many trainings in processes of its own.
pytestmark = pytest.mark.slow
LONGER = [*COMPARE, "--losses", "MSE", "Focal", "--seeds=3"]
WORKERS = ["--executor=process", "--workers=2"]


def done(root: Path) -> int:
    path = root / "trainings.csv"
    return len(pd.read_csv(path)) if path.is_file() else 0


def ordered(table: pd.DataFrame, key: list[str]) -> pd.DataFrame:
    """Return a table without times, in its own order where there is no key."""
    return table.drop(columns="seconds").sort_values(key, ignore_index=True) if key else table.drop(columns="seconds")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a comparison that nothing ended."""
    folder = tmp_path_factory.mktemp("comparison") / "whole"
    assert main([*LONGER, f"--root={folder}"]) == 0
    return folder


@pytest.mark.parametrize(
    ("number", "status", "workers"),
    [
        pytest.param(signal.SIGINT, 130, [], id="SIGINT-serial"),
        pytest.param(signal.SIGTERM, 143, [], id="SIGTERM-serial"),
        pytest.param(signal.SIGKILL, -signal.SIGKILL, WORKERS, id="SIGKILL-workers"),
    ],
)
def test_a_comparison_goes_on_where_it_was_ended(
    number: signal.Signals, status: int, workers: list[str], server: ForkServer, whole: Path, tmp_path: Path
) -> None:
    root = tmp_path / "broken"
    command = [*LONGER, *workers, f"--root={root}"]
    assert status_when_ended(server, command, number, lambda: done(root) >= 3) == status
    assert not (root / "summary.md").exists()
    finished = pd.read_csv(root / "trainings.csv")
    assert main(command) == 0
    # What was done has its old seconds, so it was not trained again.
    assert pd.read_csv(root / "trainings.csv").head(len(finished))["seconds"].tolist() == finished["seconds"].tolist()
    key = [] if not workers else ["loss", "seed", "learning_rate", "weight_decay"]
    for name in ("trainings.csv", "results.csv"):
        broken, unbroken = (ordered(pd.read_csv(folder / name), key) for folder in (root, whole))
        pd.testing.assert_frame_equal(broken, unbroken)
    assert (root / "summary.md").read_text() == (whole / "summary.md").read_text()


def test_two_processes_compare_together(tmp_path: Path) -> None:
    distributed = ["--trainer.devices=2", "--trainer.strategy=ddp", "--root=comparison", "--losses", "MSE"]
    command = [sys.executable, str(REPOSITORY / "train.py"), *COMPARE, *distributed]
    ended = subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=200)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("Losses compared with BCE") == 1
    root = tmp_path / "comparison"
    rows, results = np.load(root / "predictions" / "rows.npz"), pd.read_csv(root / "results.csv")
    assert len(results) == 4
    for result in results.itertuples():
        scores = np.load(root / "predictions" / f"{result.predictions}.npz")
        # Gathered from both processes, and in the order of the rows.
        assert roc_auc_score(rows["validation_label"], scores["validation_score"]) == pytest.approx(
            result.val_auc, abs=1e-6
        )
        assert roc_auc_score(rows["test_label"], scores["test_score"]) == pytest.approx(result.test_auc, abs=1e-6)
