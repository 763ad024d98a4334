"""The results of a study as a ranking: formulas.csv and a table in the terminal."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from lightning_modules.losses import Formula, FormulaError
from lightning_modules.search.answer import ValidatedFormula, Validation
from lightning_modules.search.events import Candidate, SearchObserver, SearchProgress
from lightning_modules.search.front import front, with_operators
from lightning_modules.search.rewards import with_failure_rewards
from lightning_modules.utilities.files import replace_file
from lightning_modules.utilities.messages import shortened

_COLUMNS = [
    "rank",
    "formula",
    "reward",
    "standard_error",
    "status",
    "operators",
    "round",
    "seconds",
    "kind",
    "metric",
    "right_share",
    "simplified",
    "epochs",
    "learning_rate",
    "weight_decay",
    "temperature",
    "best_epoch",
    "validated",
    "validated_se",
    "is_answer",
]
_HEADINGS = ("rank", "loss", "reward (se)", "metric", "right signs", "round", "seconds")
_FRONT_HEADINGS = ("operators", "rank", "reward (se)", "formula")
_LONGEST_SHOWN = 117


def ranking(losses: pd.DataFrame) -> pd.DataFrame:
    """Sort trained losses by falling reward and number the formulas among them from 1.

    A longer budget goes before a higher reward, since rewards of different budgets do not compare. Failed losses come
    last. Equal rewards keep the order of training; hand-made losses have no rank.
    """
    table = losses.drop(columns="rank", errors="ignore")
    table = table.assign(trained=table["status"] == "trained" if "status" in table else True)
    order = [name for name in ("trained", "epochs", "reward") if name in table]
    table = table.sort_values(order, ascending=False, kind="stable").drop(columns="trained").reset_index(drop=True)
    is_formula = table["kind"] == "candidate"
    table.insert(0, "rank", is_formula.cumsum().where(is_formula).astype("Int64"))
    return table


def as_table(candidates: Sequence[Candidate]) -> pd.DataFrame:
    """Return a table with one row per candidate."""
    rows = [asdict(candidate) for candidate in candidates]
    return with_operators(with_failure_rewards(pd.DataFrame(rows, columns=list(Candidate.__annotations__))))


def with_validation(losses: pd.DataFrame, formulas: Sequence[ValidatedFormula]) -> pd.DataFrame:
    """Return a table of losses with what became of the finalists: ``validated``, ``validated_se`` and ``is_answer``."""
    names = losses["formula"].where(losses["kind"] == "candidate")
    return losses.assign(
        validated=names.map({each.formula: each.difference for each in formulas}).astype(float),
        validated_se=names.map({each.formula: each.standard_error for each in formulas}).astype(float),
        is_answer=names.isin([each.formula for each in formulas if each.is_answer]),
    )


class FormulasFile(SearchObserver):
    """Writes ``formulas.csv``, all losses sorted by reward, when a search ends, successful or not.

    Args:
        root: The study's folder.
    """

    def __init__(self, root: Path) -> None:
        self.path = root / "formulas.csv"
        self._candidates: list[Candidate] = []
        self._validated: Sequence[ValidatedFormula] = ()

    def on_resume(self, progress: SearchProgress) -> None:
        """Keep the candidates of finished rounds."""
        self._candidates.extend(progress.candidates)

    def on_candidate(self, candidate: Candidate) -> None:
        """Keep the candidate."""
        self._candidates.append(candidate)

    def on_validation(self, validation: Validation) -> None:
        """Keep what became of the finalists."""
        self._validated = validation.formulas

    def on_end(self) -> None:
        """Write the file."""
        table = with_validation(ranking(as_table(self._candidates)), self._validated)[_COLUMNS]
        replace_file(self.path, lambda path: table.to_csv(path, index=False))


def print_summary(
    console: Console, candidates: Sequence[Candidate], root: Path, top: int, remarks: Sequence[str] = ()
) -> None:
    """Print the front, the best formulas and the hand-made losses, remarks on rewards, and where all results are."""
    ranked = ranking(as_table(candidates))
    _print_front(console, front(ranked), root)
    references = ranked[ranked["kind"] == "reference"]
    best = ranked[ranked["kind"] == "candidate"].head(top)
    table = Table(*_HEADINGS, title="Best formulas, in their shortest form, and hand-made losses")
    for row in pd.concat([best, references]).sort_index().itertuples():
        table.add_row(*_cells(row))
    console.print(table)
    for remark in remarks:
        _tell(console, f"- {remark}")
    if not best.empty:
        _tell(console, f"Operators are protected and clamped as defined by: export {root} --to latex")
    _tell(console, f"Everything that was trained: {root / 'formulas.csv'}")
    _tell(console, f"How the search got there:    tensorboard --logdir {root}")


def _print_front(console: Console, best: pd.DataFrame, root: Path) -> None:
    """Print a line for every formula of the front, cut at the width of a terminal and whole where it goes to a file."""
    if best.empty:
        return
    _tell(console, "The best formula with at most so many operators, from the shortest to the best of all:")
    rows = [_FRONT_HEADINGS, *(_front_cells(row) for row in best.itertuples())]
    widths = [max(map(len, column)) for column in list(zip(*rows, strict=True))[:-1]]
    for *figures, formula in rows:
        line = "  ".join([*map(str.rjust, figures, widths), formula])
        cut = console.is_terminal and len(line) > console.width
        _tell(console, f"{line[: console.width - 3]}..." if cut else line)
    _tell(console, f"Wherever a loss is named, {root}#front:{best['operators'].iloc[-1]} is the last of them.\n")


def _front_cells(row: Any) -> tuple[str, ...]:
    reward = reward_words(row.reward, row.standard_error)
    return str(row.operators), str(row.rank), reward, _shortest(row.formula, row.simplified)


def _cells(row: Any) -> list[str]:
    hand_made = row.kind == "reference"
    formula = f"[bold]{row.formula}[/bold]" if hand_made else _shortest(row.formula, row.simplified)
    return [
        "" if hand_made else str(row.rank),
        shortened(formula, _LONGEST_SHOWN),
        reward_words(row.reward, row.standard_error),
        "-" if pd.isna(row.metric) else f"{row.metric:.4f}",
        "" if hand_made else f"{row.right_share:.0%}",
        "" if hand_made else str(row.round),
        f"{row.seconds:.2f}",
    ]


def reward_words(reward: float, standard_error: float | None) -> str:
    """Return a reward as text, with its standard error in parentheses if it has one."""
    return f"{reward:+.4f}" if pd.isna(standard_error) else f"{reward:+.4f} ({standard_error:.4f})"


def _shortest(formula: str, simplified: str) -> str:
    """Return the shortest text of a formula."""
    # A formula may be too long for the parser.
    with suppress(FormulaError):
        return Formula.parse(formula).shortest()
    return min(formula, simplified, key=len)


def _tell(console: Console, line: str) -> None:
    console.print(line, soft_wrap=True, markup=False, highlight=False)
