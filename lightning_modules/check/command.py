"""Runs a validation check: checks every loss, writes and prints the results."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import torch
from rich.console import Console

from lightning_modules.check.checking import checked
from lightning_modules.check.report import draw, print_results, shown_name, write_table
from lightning_modules.check.settings import CheckSettings
from lightning_modules.check.sources import RankedLoss, gather
from lightning_modules.losses import FormulaBased
from lightning_modules.utilities.processes import torch_threads
from lightning_modules.utilities.progress import counted


def run_check(settings: CheckSettings, seed: int) -> pd.DataFrame:
    """Check losses, write check.csv, draw those that are kept and print the first rows.

    Args:
        settings: The options.
        seed: Seed of the predictions at which signs are counted, the same ones for every loss.

    Returns:
        The content of check.csv: a row for every loss, with the columns of :class:`CheckResult`, or, for losses of
        scores, of :class:`ScoreCheckResult`, ``kind`` (``formula``, or ``reference`` for a hand-made loss) and, where a
        search is checked, ``rank``.

    Raises:
        FileNotFoundError: If a search or file is not there.
        OSError: If the folder cannot be written.
        ValueError: If there is nothing to check, or an option, search or file cannot be used.
    """
    console = Console()
    losses = gather(settings)
    for remark in losses.remarks:
        console.print(remark, soft_wrap=True, markup=False, highlight=False)
    # A loss's operations are too small to gain from more threads, and lose a lot by them on busy cores.
    with torch_threads(1):
        rows = [_row(ranked, settings, seed) for ranked in counted(losses.all, "checking losses")]
    table = _table(rows)
    path = write_table(table, settings.folder)
    print_results(console, table, path)
    kept = [(shown_name(row), ranked.loss) for row, ranked in zip(rows, losses.all, strict=True) if row["keep"]]
    draw(kept[: settings.figures], settings.folder, console)
    return table


def _row(ranked: RankedLoss, settings: CheckSettings, seed: int) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(seed)
    threshold = settings.least_right_signs
    result = checked(ranked.loss, generator=generator, points=settings.points, threshold=threshold)
    kind = "formula" if isinstance(ranked.loss, FormulaBased) else "reference"
    return {**result.as_row(), "kind": kind, "rank": ranked.rank}


def _table(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    table = pd.DataFrame(rows).astype({"rank": "Int64"})
    return table.drop(columns="rank") if table["rank"].isna().all() else table
