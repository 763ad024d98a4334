"""The report of a check: check.csv, figures of the losses kept, and a table in the terminal."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lightning_modules.losses import LossObject
from lightning_modules.utilities.files import replace_file
from lightning_modules.utilities.messages import listed, shortened
from lightning_modules.utilities.progress import counted

#: Name of the table inside the folder of a check, and of the folder with its figures.
TABLE_NAME, FIGURES_NAME = "check.csv", "check"

_HEADINGS = ("keep", "right signs", "un- clamped", "mono- tone", "finite", "max gradient")
#: Further columns: the name in check.csv, the heading, and how a value is shown.
_OF_PREDICTION = (("proper", "proper", str), ("least_at_0.5", "least at .5", "{:.4f}".format))
_OF_SCORES = (
    ("falls_with_positive", "falls with pos", "{:.1%}".format),
    ("rises_with_negatives", "rises with neg", "{:.1%}".format),
)
_NARROWEST = 6
_ROWS_SHOWN = 20
# Longer names have no room in the table and are listed below it.
_LONGEST_NAME = 22
_LONGEST_SHOWN = 197
_RIGHT_SIGNS = (
    "Right signs are counted at more points than those at which the search screens formulas: what the search calls "
    "right in screening is another share."
)
# What a warning has room for.
_MOST_NAMED, _LONGEST_NAMED = 5, 60


def write_table(table: pd.DataFrame, folder: Path) -> Path:
    """Write check.csv, whole or not at all, and return its path.

    Raises:
        OSError: If it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / TABLE_NAME
    replace_file(path, lambda temporary: table.to_csv(temporary, index=False))
    return path


def draw(losses: Sequence[tuple[str, LossObject]], folder: Path, console: Console) -> None:
    """Draw losses under their titles for TensorBoard, numbered from 1."""
    if not losses:
        return
    from torch.utils.tensorboard import SummaryWriter

    from lightning_modules.losses.figures import loss_figure

    folder = folder / FIGURES_NAME
    with SummaryWriter(str(folder)) as writer:
        for number, (title, loss) in enumerate(counted(losses, "drawing losses"), 1):
            writer.add_figure(f"survivors/{number}", loss_figure(loss, title))
    _tell(console, f"What was kept, drawn: tensorboard --logdir {folder}")


def shown_name(row: Mapping[str, Any]) -> str:
    """Return the text that stands for the loss of a row of check.csv: a formula's shortest form, or a name."""
    return str(row["simplified"] or row["formula"])


def print_results(console: Console, table: pd.DataFrame, path: Path) -> None:
    """Print the first rows, how many losses were kept, and where the rest is."""
    further = [each for each in (*_OF_PREDICTION, *_OF_SCORES) if each[0] in table]
    shown, texts = _empty_table([*_HEADINGS, *(heading for _, heading, _ in further)]), {}
    for number, row in enumerate(table.head(_ROWS_SHOWN).to_dict("records"), 1):
        name = shown_name(row)
        if len(name) > _LONGEST_NAME:
            name, texts[f"formula {number}"] = f"formula {number}", name
        known = ("-" if pd.isna(row[column]) else show(row[column]) for column, _, show in further)
        shown.add_row(Text(name), *_cells(row), *known)
    console.print(shown)
    _tell(console, *(f"{name}: {shortened(text, _LONGEST_SHOWN)}" for name, text in texts.items()), "")
    hidden = len(table) - _ROWS_SHOWN
    lines = [f"{hidden} more rows are in the file."] if hidden > 0 else []
    lines += [f"Kept: {table['keep'].sum()} of {len(table)}.", *_order_remarks(table)]
    # Of a search, whose closing screen has shares of its own.
    lines += [_RIGHT_SIGNS] if "rank" in table else []
    _tell(console, *lines, f"Everything that was found: {path}")


def _order_remarks(table: pd.DataFrame) -> list[str]:
    """Return the warning for losses that are kept though the predictions that they train do not keep the order."""
    # Losses of scores have no such column.
    kept = table[table["keep"] & (table["keeps_order"] == "no")] if "keeps_order" in table else table[:0]
    if kept.empty:
        return []
    names = [shortened(shown_name(row), _LONGEST_NAMED) for row in kept.to_dict("records")]
    return [
        f"Warning: keeps_order is no for {len(kept)} of those, so that rows with a higher share of label 1 may get a "
        f"lower prediction, which is wrong for ranking: {listed(names, _MOST_NAMED)}."
    ]


def _empty_table(headings: Sequence[str]) -> Table:
    title = "Validation check; formulas in their shortest form"
    # Without lines between the columns the table fits into 80 characters.
    table = Table(title=title, box=None, padding=(0, 1, 0, 0), row_styles=["", "dim"])
    table.add_column("loss", overflow="fold")
    for heading in headings:
        table.add_column(heading, width=max(_NARROWEST, *map(len, heading.split())))
    return table


def _tell(console: Console, *lines: str) -> None:
    console.print("\n".join(lines), soft_wrap=True, markup=False, highlight=False)


def _cells(row: Mapping[str, Any]) -> list[str]:
    return [
        _yes(row["keep"]),
        f"{row['right_share']:.1%}",
        f"{row['right_share_unclamped']:.1%}",
        _yes(row["monotone"]),
        _yes(row["finite"]),
        f"{row['max_gradient']:.3g}",
    ]


def _yes(value: bool) -> str:
    return "yes" if value else "no"
