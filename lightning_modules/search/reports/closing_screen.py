"""What the terminal shows when a search has ended: formulas, the answer, files and the next commands."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from lightning_modules.search.answer import Validation
from lightning_modules.search.events import Candidate
from lightning_modules.search.front import front
from lightning_modules.search.reports.measurement import Measurement
from lightning_modules.search.reports.picture import PICTURE_NAME
from lightning_modules.search.reports.summary import TABLE_NAME, as_table, ranking, shortest
from lightning_modules.search.reports.validation import answer_lines, print_finalists
from lightning_modules.utilities.program import command, free_folder, tensorboard_command
from lightning_modules.utilities.row_table import print_rows, tell, tell_prose

_FRONT_HEADINGS = ("operators", "rank", "reward", "se", "formula")
_IN_SCREENING = (
    "Right in screening is the share of right gradient signs at the few points at which the search screens formulas; "
    "check counts right signs at more points."
)


def print_closing_screen(
    console: Console,
    candidates: Sequence[Candidate],
    root: Path,
    top: int,
    measurement: Measurement,
    *,
    validation: Validation | None = None,
    remarks: Sequence[str] = (),
) -> None:
    """Print what was found, whether it is validated, where everything is, and what to do next.

    Args:
        console: Where to write.
        candidates: All candidates and reference losses.
        root: The study's folder.
        top: Number of best formulas to show.
        measurement: How rewards and finalists were measured.
        validation: What became of the finalists; ``None`` without any.
        remarks: What a reader must know of the rewards.
    """
    ranked = ranking(as_table(candidates))
    best = ranked[ranked["kind"] == "candidate"].head(top)
    tell_prose(console, measurement.reward_sentence, "")
    is_cut = _print_front(console, front(ranked), root)
    is_cut |= _print_best(console, pd.concat([best, ranked[ranked["kind"] == "reference"]]).sort_index(), measurement)
    if validation is not None:
        tell(console, "")
        is_cut |= print_finalists(console, validation, candidates, measurement)
    if is_cut:
        tell(console, f"Formulas in full: {root / TABLE_NAME}. {root}#3 names that of rank 3 wherever a loss is named.")
    known = [*remarks] if best.empty else [_IN_SCREENING, *remarks]
    tell_prose(console, *(f"- {remark}" for remark in known), "")
    answer = None if validation is None else validation.answer
    if best.empty:
        tell(console, f"No formula was trained. What else was: {root / TABLE_NAME}")
        return
    tell_prose(console, *answer_lines(validation, measurement), "")
    tell(console, *_files(root))
    rank = None if answer is None else _rank_of(ranked, answer.formula)
    tell(console, *_next_steps(root, rank))


def _rank_of(ranked: pd.DataFrame, formula: str) -> int:
    return int(ranked.loc[(ranked["kind"] == "candidate") & (ranked["formula"] == formula), "rank"].iloc[0])


def _print_front(console: Console, best: pd.DataFrame, root: Path) -> bool:
    if best.empty:
        return False
    title = "The best formula with at most so many operators, from the shortest to the best of all:"
    is_cut = print_rows(console, title, _FRONT_HEADINGS, [_front_cells(row) for row in best.itertuples()], kept=4)
    tell(console, f"Wherever a loss is named, {root}#front:{best['operators'].iloc[-1]} is the last of them.", "")
    return is_cut


def _front_cells(row: Any) -> tuple[str, ...]:
    return str(row.operators), str(row.rank), *_reward_cells(row), shortest(row.formula, row.simplified)


def _reward_cells(row: Any) -> tuple[str, str]:
    return f"{row.reward:+.4f}", "" if pd.isna(row.standard_error) else f"{row.standard_error:.4f}"


def _print_best(console: Console, losses: pd.DataFrame, measurement: Measurement) -> bool:
    score = f"negated {measurement.metric}" if measurement.negated else measurement.metric
    headings = ("rank", "reward", "se", score, "right in screening", "operators", "round", "seconds", "loss")
    title = "Best formulas, in their shortest form, and hand-made losses"
    return print_rows(console, title, headings, [_cells(row) for row in losses.itertuples()], kept=4)


def _cells(row: Any) -> list[str]:
    score = "-" if pd.isna(row.metric) else f"{row.metric:.4f}"
    if row.kind != "candidate":
        return ["", *_reward_cells(row), score, "", "", "", f"{row.seconds:.2f}", row.formula]
    operators = "-" if pd.isna(row.operators) else str(row.operators)
    own = [f"{row.right_share:.0%}", operators, str(row.round), f"{row.seconds:.2f}"]
    return [str(row.rank), *_reward_cells(row), score, *own, shortest(row.formula, row.simplified)]


def _files(root: Path) -> list[str]:
    return [
        f"The search in a picture:     {root / PICTURE_NAME}",
        f"Everything that was trained: {root / TABLE_NAME}",
        f"How the search got there:    {tensorboard_command(root)}",
        f"What the operators are:      {command('export', root, '--to', 'latex')}",
    ]


def _next_steps(root: Path, rank: int | None) -> list[str]:
    # A comparison with other settings could not be continued.
    comparison = command("compare", "--study", root, "--root", free_folder(f"{root}_compare"))
    compared = f"Next, on the test rows:      {comparison}"
    if rank is None:
        return [compared, "To search on:                the same command with more --search.rounds"]
    return [
        compared,
        f"To train with the answer:    --model.loss {shlex.quote(f'{root}#answer')}",
        f"To take it elsewhere:        {command('export', root, '--rank', rank, '--to', 'python')}",
    ]
