"""What a study ends with: formulas.csv and a table in the terminal."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

from lightning_modules.search.watchers import Candidate, Watcher

_COLUMNS = ["rank", "formula", "reward", "status", "round", "seconds", "kind", "metric", "right_share", "simplified"]
_LONGEST_SHOWN = 120


def ranking(candidates: Sequence[Candidate]) -> pd.DataFrame:
    """Sort candidates by falling reward and number them from 1; equal rewards keep the order of training."""
    table = pd.DataFrame([asdict(candidate) for candidate in candidates], columns=list(Candidate.__annotations__))
    table = table.sort_values("reward", ascending=False, kind="stable").reset_index(drop=True)
    table.insert(0, "rank", table.index + 1)
    return table


class FormulasFile(Watcher):
    """Writes ``formulas.csv``, every trained loss sorted by reward, when a search ends for whatever reason.

    Args:
        root: The study's folder.
    """

    def __init__(self, root: Path) -> None:
        self.path = root / "formulas.csv"
        self._candidates: list[Candidate] = []

    def on_candidate(self, candidate: Candidate) -> None:
        """Remember the candidate."""
        self._candidates.append(candidate)

    def on_end(self) -> None:
        """Write the file."""
        ranking(self._candidates)[_COLUMNS].to_csv(self.path, index=False)


def _shortest(formula: str, simplified: str) -> str:
    """Return the shorter way to write a formula, cut to a few lines of the table; formulas.csv has all of it."""
    text = min(formula, simplified, key=len)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 3]}..."


def print_summary(console: Console, candidates: Sequence[Candidate], root: Path, top: int) -> None:
    """Print the best formulas beside the hand-made losses, and how to look further."""
    ranked = ranking(candidates)
    references = ranked[ranked["kind"] == "reference"]
    best = ranked[ranked["kind"] == "candidate"].head(top)
    shown = pd.concat([best, references]).sort_values("rank")
    table = Table(
        "rank",
        "loss",
        "reward",
        "metric",
        "right signs",
        "round",
        "seconds",
        title="Best formulas, in their shortest form, and hand-made losses",
    )
    for row in shown.itertuples():
        hand_made = row.kind == "reference"
        table.add_row(
            str(row.rank),
            f"[bold]{row.formula}[/bold]" if hand_made else _shortest(row.formula, row.simplified),
            f"{row.reward:+.4f}",
            "-" if pd.isna(row.metric) else f"{row.metric:.4f}",
            "" if hand_made else f"{row.right_share:.0%}",
            "" if hand_made else str(row.round),
            f"{row.seconds:.2f}",
        )
    console.print(table)
    console.print(
        f"Everything that was trained: {root / 'formulas.csv'}", soft_wrap=True, markup=False, highlight=False
    )
    console.print(
        f"How the search got there:    tensorboard --logdir {root}", soft_wrap=True, markup=False, highlight=False
    )
