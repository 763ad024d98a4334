"""One search on one table, in a process of its own, for ``benchmarks.data_scale``."""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks.common.commands import run_command, settle
from benchmarks.common.process_memory import forget_peak, largest, peak, sampled
from datamodules import InteractionsDataModule
from datamodules.batches import Batch
from lightning_modules.search.ledger import read_trials

NUM_USERS, NUM_ITEMS = 20_000, 10_000
HOLDOUT = 0.1
MODEL = "--model BiasedMF --model.optimizer Adam --model.optimizer.lr 5e-3 --model.optimizer.fused true"
DATA = "--data InteractionsDataModule --data.batch_size 1024"
TRAINER = "--trainer.max_epochs 1 --trainer.accelerator cpu --trainer.devices 1"
SEARCH = f"--search.rounds 1 --search.warmup_updates 0 --search.references=[] --search.holdout {HOLDOUT}"
COMMAND = f"search {MODEL} {DATA} {TRAINER} {SEARCH} --search.strategy RandomSearch".split()


def measured_loading(load: Callable[[InteractionsDataModule], dict[str, Batch]], figures: dict[str, Any]) -> Any:
    """Return ``load_rows`` that notes seconds and bytes; the peak that is read afterwards is that of the search."""

    def load_rows(data: InteractionsDataModule) -> dict[str, Batch]:
        forget_peak()
        begin = time.perf_counter()
        rows = load(data)
        figures.update(loading_seconds=time.perf_counter() - begin, loading_peak=peak())
        figures.update(held_bytes=sum(column.nbytes for split in rows.values() for column in split))
        figures.update({name: len(split.label) for name, split in rows.items()})
        forget_peak()
        return rows

    return load_rows


def search(arguments: Sequence[str], figures: dict[str, Any]) -> None:
    """Search; what is shown goes nowhere, since only the figures matter."""
    load = measured_loading(InteractionsDataModule.load_rows, figures)
    # The model is as large for every table, whichever users and items occur in it.
    sizes: dict[str, Any] = {"num_users": NUM_USERS + 1, "num_items": NUM_ITEMS + 1}
    patched = mock.patch.multiple(InteractionsDataModule, load_rows=load, **sizes)
    with patched, Path(os.devnull).open("w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):
        run_command([*COMMAND, *arguments])


def measure(arguments: Sequence[str]) -> dict[str, Any]:
    """Return seconds and bytes of loading and of the search.

    Raises:
        RuntimeError: If a trial could not be trained.
    """
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder, sampled() as samples:
        search([*arguments, "--search.root", folder], figures)
        trials = {place.name: each for place, each in read_trials(folder).items() if place.kind == "candidate"}
    if any(each.score is None for each in trials.values()):
        raise RuntimeError(f"a trial could not be trained: {trials}")
    driver, others = largest(samples)
    return {
        **figures,
        "rows": figures["train"] + figures["validation"] + figures["test"],
        "trained_rows": round(figures["train"] * (1 - HOLDOUT)),
        "search_peak": peak(),
        "trial_seconds": [each.seconds for each in trials.values()],
        "formulas": list(trials),
        "driver_proportional": driver.proportional,
        "workers_resident": others.resident,
        "workers_proportional": others.proportional,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, help="JSON file to write")
    options, arguments = parser.parse_known_args()
    settle()
    options.output.write_text(json.dumps(measure(arguments)), encoding="utf-8")


if __name__ == "__main__":
    main()
