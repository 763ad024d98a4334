"""Searches as processes of their own: signals, exit statuses, and two processes that search together."""

import json
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.common.fork_server import ForkServer
from datamodules import SyntheticInteractions
from lightning_modules.search.ledger import read_ledger
from tests.cli.cli_helpers import ENVIRONMENT, REFERENCES, SEARCH, candidates, status_when_ended


def rows(root: Path) -> int:
    try:
        connection = sqlite3.connect(f"file:{root / 'ledger.sqlite'}?mode=ro", uri=True)
        with connection:
            (count,) = connection.execute("SELECT COUNT(*) FROM candidates").fetchone()
        connection.close()
    except sqlite3.Error:
        return 0
    return count


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)]
)
def test_signals_end_a_search_in_order(number: signal.Signals, status: int, server: ForkServer, tmp_path: Path) -> None:
    root = tmp_path / "study"
    command = [*SEARCH, "--search.rounds=100000", f"--search.root={root}"]
    fewest = REFERENCES + 2
    assert status_when_ended(server, command, number, lambda: rows(root) >= fewest) == status
    ledger = read_ledger(root)
    assert len(ledger) >= fewest
    assert sorted(pd.read_csv(root / "formulas.csv")["formula"]) == sorted(ledger["formula"])


SCRIPT = """
import json, os, sys
from callbacks import RewardCallback
from lightning_modules.cli.main import main
from lightning_modules.recommenders import BiasedMF

pairs, metrics = [], []
step, end = BiasedMF.training_step, RewardCallback.on_train_end


def training_step(self, batch):
    if not metrics:
        pairs.extend(zip(batch.user.tolist(), batch.item.tolist()))
    return step(self, batch)


def on_train_end(self, trainer, module):
    end(self, trainer, module)
    metrics.append(self.metric)


BiasedMF.training_step, RewardCallback.on_train_end = training_step, on_train_end
status = main()
seen = {"status": status, "pairs": pairs, "metrics": metrics}
with open(f"rank{os.environ['LOCAL_RANK']}.json", "w") as file:
    json.dump(seen, file)
sys.exit(status)
"""


@pytest.mark.slow
def test_two_processes_search_in_step_on_disjoint_rows(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    distributed = ["--trainer.devices=2", "--trainer.strategy=ddp", "--search.root=study"]
    command = [sys.executable, "script.py", *SEARCH, *distributed]
    done = subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    first, second = (json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in (0, 1))
    assert first["status"] == second["status"] == 0
    assert first["metrics"] == second["metrics"]
    ledger = read_ledger(tmp_path / "study")
    assert ledger["round"].tolist() == [0, 1, 1, 1, 2, 2, 2]
    # The baseline is the first child and has no row.
    assert ledger["metric"].tolist() == first["metrics"][1:]
    assert candidates(tmp_path / "study")["formula"].is_unique
    assert done.stdout.count("Best formulas, in their shortest form, and hand-made losses") == 1
    data = SyntheticInteractions(num_users=60, num_items=50, num_interactions=2000)
    train = data.hold_out(0.1, seed=42).rows["train"]
    every = sorted(zip(train.user.tolist(), train.item.tolist(), strict=True))
    # Every pair of user and item occurs once, so that equal lists mean disjoint shares.
    assert sorted(map(tuple, first["pairs"] + second["pairs"])) == every
    assert len(first["pairs"]) == len(second["pairs"]) == len(every) // 2
