"""How long are the formulas that a search prints, and what does it cost to have them short?

The quick start's search without its finalists, with several seeds, with and without a limit to the number of operators
and a price for each:

    python -m benchmarks.short_formulas
"""

import itertools
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
from jsonargparse import auto_cli

from benchmarks.common.report import table, write_report
from benchmarks.common.running_commands import ENVIRONMENT, REPOSITORY
from lightning_modules.search.study import Study

_TOP = 10
_HEADER = [
    "limit",
    "price",
    "median operators of the front",
    "of the ten best",
    "of all trained",
    "best reward",
    "mean reward of the ten best",
]


def searched(seed: int, limit: int | None, price: float, root: Path) -> dict[str, Any]:
    """Run one search and return what it printed, as figures."""
    settings = {
        "seed_everything": seed,
        "search.most_operators": "null" if limit is None else limit,
        "search.node_price": price,
        "search.finalists": 0,
        "search.root": root,
    }
    options = [f"--{name}={value}" for name, value in settings.items()]
    command = [sys.executable, "train.py", "search", "--config", "configs/search/quickstart.yaml", *options]
    subprocess.run(command, cwd=REPOSITORY, env=ENVIRONMENT, check=True)
    study = Study.read(root)
    best = study.candidates.head(_TOP)
    return {
        "limit": "none" if limit is None else str(limit),
        "price": f"{price:g}",
        "front": study.front["operators"].median(),
        "top": best["operators"].median(),
        "all": study.candidates["operators"].median(),
        "reward": best["reward"].max(),
        "mean_reward": best["reward"].mean(),
    }


def summarised(rows: Sequence[dict[str, Any]]) -> list[list[str]]:
    """Return a row for every pair of limit and price: medians over seeds, and means of rewards with their spread."""
    written = []
    for (limit, price), group in pd.DataFrame(rows).groupby(["limit", "price"], sort=False):
        lengths = [f"{group[name].median():g}" for name in ("front", "top", "all")]
        rewards = [f"{group[name].mean():+.4f} ± {group[name].std():.4f}" for name in ("reward", "mean_reward")]
        written.append([str(limit), str(price), *lengths, *rewards])
    return written


def main(seeds: int = 4, limits: tuple[int, ...] = (7, 6), price: float = 3e-4) -> None:
    """Measure and write the table.

    Args:
        seeds: Searches of each kind.
        limits: Largest numbers of operators.
        price: The price of an operator, in units of the reward.
    """
    kinds = list(itertools.product((None, *limits), (0.0, price)))
    rows = []
    for seed in range(1, seeds + 1):
        for most, each in kinds:
            with TemporaryDirectory() as folder:
                rows.append(searched(seed, most, each, Path(folder) / "study"))
    write_report(
        "short_formulas",
        title="The length of formulas",
        parts=[
            f"The search of the quick start without finalists, seeds 1 to {seeds}. Operators are those of the shown "
            "text: medians over the seeds of each search's median. Rewards, AUC over BCE: mean ± standard deviation.",
            table(_HEADER, summarised(rows)),
        ],
    )


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
