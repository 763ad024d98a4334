"""The same search on more and more data: ``python -m benchmarks.data_scale``.

Every search runs in a process of its own. Those whose figures are there already are not run again.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.common.report import table, write_report
from benchmarks.common.running_commands import ENVIRONMENT, REPOSITORY
from benchmarks.common.scaled_search import HOLDOUT, NUM_ITEMS, NUM_USERS
from datamodules import SyntheticInteractions

#: So few rows that what their search takes is what any search takes.
EMPTY = 1_000
LARGEST_RATIO = 1.3
ARMS = {"serial": [], "process": ["--search.executor", "process", "--search.workers", "2"]}
Figures = Mapping[str, Any]


def write_rows(rows: int, path: Path) -> None:
    """Write synthetic interactions unless they are there; drawing them takes more memory than searching on them."""
    if path.exists():
        return
    begin = time.perf_counter()
    data = SyntheticInteractions(num_users=NUM_USERS, num_items=NUM_ITEMS, num_interactions=rows)
    drawn = pd.concat(data.read_splits())[["user", "item", "label"]].set_axis(["uid", "iid", "label"], axis=1)
    unfinished = path.with_suffix(".unfinished")
    # Not in the order of the splits, which are drawn anew.
    order = np.random.default_rng(0).permutation(rows)
    drawn.iloc[order].to_parquet(unfinished, index=False)
    unfinished.rename(path)
    print(f"{rows:,} rows drawn and written in {time.perf_counter() - begin:.1f} s", flush=True)


def figures(root: Path, rows: int, arm: str, candidates: int) -> Figures:
    """Search in a process of its own, unless that has been done."""
    output, data = root / f"{arm}-{rows}-{candidates}.json", root / f"interactions-{rows}.parquet"
    if not output.exists():
        write_rows(rows, data)
        arguments = ["--data.root", str(data.resolve()), "--search.candidates", str(candidates), *ARMS[arm]]
        command = [sys.executable, "-m", "benchmarks.common.scaled_search", str(output.resolve()), *arguments]
        subprocess.run(command, cwd=REPOSITORY, env=ENVIRONMENT, check=True)
    found: Figures = json.loads(output.read_text(encoding="utf-8"))
    print(f"{arm}, {rows:,} rows: {_microseconds(found):.2f} microseconds a trial and interaction", flush=True)
    return found


def report(serial: Mapping[int, Figures], process: Mapping[int, Figures], sizes: Sequence[int]) -> list[str]:
    """Return the tables, how flat the time is, and how much memory a row takes."""
    times = [_microseconds(serial[size]) for size in sizes]
    ratio = max(times) / min(times)
    return [
        f"Synthetic interactions of {NUM_USERS:,} users and {NUM_ITEMS:,} items from a Parquet table; 8 of 10 rows "
        f"are for training, of which a share of {HOLDOUT:g} is held out. BiasedMF (64), fused Adam 5e-3, batch 1024; "
        f"{_formulas(serial[sizes[0]])} from RandomSearch, the same for every size, for one epoch each; one thread, "
        "each search a process of its own. Seconds a trial are medians.",
        table(
            ["interactions", "seconds of loading", "seconds a trial", "microseconds a trial and trained interaction"],
            [_time_row(serial[size]) for size in sizes],
        ),
        f"Time per interaction, largest against smallest: **{ratio:.2f}**; required at most {LARGEST_RATIO}: "
        f"{'reached' if ratio <= LARGEST_RATIO else 'missed'}.",
        f"Memory in bytes a row, all three splits counted, beyond that of the same search on {EMPTY:,} rows, which "
        f"peaks at {serial[EMPTY]['search_peak'] / 2**20:,.0f} MiB:",
        table(
            ["interactions", "rows as they are held", "peak of loading", "peak of the search", "MiB of that search"],
            [_memory_row(serial[size], serial[EMPTY]) for size in sizes],
        ),
        f"Two workers (`--search.executor process --search.workers 2`), bytes a row beyond {EMPTY:,} rows, when all "
        "processes together have most. Proportional memory (PSS) divides pages that several processes map among them: "
        "what the workers' resident memory (RSS) has beyond it is there once and counted twice.",
        table(
            ["interactions", "driver, PSS", "both workers, RSS", "both workers, PSS", "shared", "all, PSS in MiB"],
            [_shared_row(process[size], process[EMPTY]) for size in sizes],
        ),
    ]


def _formulas(figures: Figures) -> str:
    return f"{len(figures['formulas'])} formulas"


def _child_seconds(figures: Figures) -> float:
    """Return the median, which the first trial, for which memory is fetched, does not move."""
    return float(statistics.median(figures["trial_seconds"]))


def _microseconds(figures: Figures) -> float:
    return 1e6 * _child_seconds(figures) / int(figures["trained_rows"])


def _time_row(figures: Figures) -> list[str]:
    return [
        f"{figures['rows']:,}",
        f"{figures['loading_seconds']:.2f}",
        f"{_child_seconds(figures):.2f}",
        f"{_microseconds(figures):.2f}",
    ]


def _memory_row(figures: Figures, empty: Figures) -> list[str]:
    cells = [f"{(figures[name] - empty[name]) / figures['rows']:.0f}" for name in ("loading_peak", "search_peak")]
    held = f"{figures['held_bytes'] / figures['rows']:.0f}"
    return [f"{figures['rows']:,}", held, *cells, f"{figures['search_peak'] / 2**20:,.0f}"]


def _shared_row(figures: Figures, empty: Figures) -> list[str]:
    def bytes_a_row(name: str) -> float:
        return float(figures[name] - empty[name]) / int(figures["rows"])

    resident, proportional = bytes_a_row("workers_resident"), bytes_a_row("workers_proportional")
    cells = [bytes_a_row("driver_proportional"), resident, proportional, resident - proportional]
    together = figures["driver_proportional"] + figures["workers_proportional"]
    return [f"{figures['rows']:,}", *(f"{cell:.0f}" for cell in cells), f"{together / 2**20:,.0f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=Path("runs/data_scale"), help="folder of tables and figures")
    parser.add_argument("--sizes", type=float, nargs="+", default=[1e5, 1e6, 1e7], help="numbers of interactions")
    parser.add_argument("--candidates", type=int, default=8, help="trials, whose median counts")
    options = parser.parse_args()
    options.root.mkdir(parents=True, exist_ok=True)
    sizes = [math.floor(size) for size in options.sizes]
    found = {
        arm: {rows: figures(options.root, rows, arm, options.candidates) for rows in (EMPTY, *sizes)} for arm in ARMS
    }
    write_report(
        "data_scale",
        title="Scale in the data",
        parts=report(found["serial"], found["process"], sizes),
    )


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
