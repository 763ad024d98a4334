"""Small searches through the command line, and what they leave behind."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.common.running_commands import Start
from lightning_modules.search.ledger import read_ledger
from tests.multitask.published_layouts import kuairand
from tests.recommenders.top_n_helpers import write_feedback

REPOSITORY = Path(__file__).resolve().parents[2]

DATA = ["--data=SyntheticInteractions", "--data.num_users=60", "--data.num_items=50", "--data.num_interactions=2000"]
MODEL = ["--model=BiasedMF", "--model.embedding_dim=4"]
TRAINER = ["--trainer.max_epochs=1", "--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false"]
BUDGET = ["--search.rounds=2", "--search.candidates=3", "--search.warmup_updates=1", "--search.draws=256"]
RANDOM = ["--search.strategy=RandomSearch"]
#: A search that trains all hand-made losses, as the shared study does.
STUDY = ["search", *DATA, *MODEL, *TRAINER, *BUDGET, *RANDOM]
#: The same with one hand-made loss.
SEARCH = [*STUDY, "--search.references=[BCE]"]
#: Children of ``SEARCH`` before the first candidate: the baseline and the hand-made loss.
REFERENCES = 2

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}

#: Configurations whose data are drawn.
SYNTHETIC = ("quickstart", "synthetic_esmm", "top_n")


def status_when_ended(start: Start, command: list[str], number: signal.Signals, is_due: Callable[[], bool]) -> int:
    """Return the exit status of a command that a signal ends once that is due; it shows no traceback."""
    output = Path("output.txt").absolute()
    process = start(command, output)
    while not is_due() and process.wait(0.02) is None:
        pass
    os.kill(process.pid, number)
    status = process.wait(60)
    if status is None:
        # Its stack goes to its output.
        os.kill(process.pid, signal.SIGUSR1)
        time.sleep(1)
        pytest.fail(f"{number.name} has not ended it:\n{output.read_text()}")
    assert "Traceback" not in output.read_text()
    return status


def candidates(root: Path) -> pd.DataFrame:
    ledger = read_ledger(root)
    return ledger[ledger["kind"] == "candidate"].reset_index(drop=True)


def without_seconds(root: Path) -> pd.DataFrame:
    return read_ledger(root).drop(columns="seconds")


def write_split(folder: Path, *, labels: tuple[object, ...] = (0, 1), **splits: tuple[object, ...]) -> Path:
    """Write a tiny published split; ``validation=(1,)`` gives that split its own cycle of labels."""
    folder.mkdir(parents=True, exist_ok=True)
    for split in ("train", "validation", "test"):
        cycle = splits.get(split, labels)
        # Some items have label 0 alone, as pairs need, and no other split is the training table, which is refused.
        items = 13 if split == "train" else 5
        rows = [(n % 7, n % items, cycle[n % len(cycle)]) for n in range(154)] if cycle else []
        table = pd.DataFrame(rows, columns=["uid", "iid", "label"])
        table.to_csv(folder / f"shop.{split}.csv", sep="\t", index=False)
    return folder


def data_of(path: Path, folder: Path) -> list[str]:
    """Return the options that name the data of a file."""
    if path.stem in SYNTHETIC:
        return []
    if not path.stem.startswith("kuairand"):
        write = write_feedback if path.stem == "top_n_published" else write_split
        return [f"--data.root={write(folder)}"]
    folder.mkdir()
    kuairand(folder)
    return [f"--data.root={folder}", "--model.bottom_dims=[8]", "--model.tower_dims=[4]", "--data.batch_size=64"]
