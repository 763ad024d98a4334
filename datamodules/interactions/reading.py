"""Tables of interactions: two ids, a label or a rating that becomes one, perhaps a time."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from datamodules.tables import Columns, read_columns
from datamodules.tables.categories import codes_of
from datamodules.tables.ids import exact_integers

IDS = ("user", "item")
_HINTS = {
    "user": "Set user_column to the right one",
    "item": "Set item_column to the right one",
    "label": "Set label_column to the right one, or rating_column if the table has ratings instead",
    "rating": "Set rating_column to the right one",
    "time": "Set time_column to the right one",
}


def read_interactions(
    path: Path,
    columns: Mapping[str, str],
    *,
    threshold: float,
    separator: str | None = None,
    header: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Read a table as the columns ``user``, ``item``, ``label`` (0 or 1, float32) and, if asked for, ``time``.

    Args:
        path: The table.
        columns: Columns of the file for ``user``, ``item``, ``rating`` or else ``label``, and optionally ``time``;
            without rating and label, every label is 1.
        threshold: The rating above which the label is 1.
        separator: As for ``read_columns``.
        header: As for ``read_columns``.

    Returns:
        Ids as categories that are text, labels, and times as numbers or dates.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the table cannot be read, lacks a column, or has a cell that is empty or cannot be used, or one
            column is named for users and items.
    """
    _refuse_one_for_both(columns, path)
    roles = {role: [columns[role]] if role in columns else [] for role in ("label", "rating", "time")}
    wanted = Columns(
        keys=[columns[name] for name in IDS],
        labels=roles["label"],
        ratings=roles["rating"],
        times=roles["time"],
        hints={column: _HINTS[role] for role, column in columns.items()},
    )
    table = read_columns(path, wanted, separator=separator, header=header)
    result = pd.DataFrame({role: table[column] for role, column in columns.items()})
    if "rating" in columns:
        result["label"] = (result.pop("rating") > threshold).astype("float32")
    elif "label" not in columns:
        result["label"] = np.float32(1)
    return result[[*IDS, "label", *(["time"] if "time" in columns else [])]]


def _refuse_one_for_both(columns: Mapping[str, str], path: Path) -> None:
    if columns["user"] == columns["item"]:
        raise ValueError(
            f"user_column and item_column both name the column '{columns['user']}' of {path}, so that every user would "
            "have itself for its item; name the column of each"
        )


def exact_integer_ids(tables: Sequence[pd.DataFrame]) -> list[pd.DataFrame]:
    """Turn ids into integers where every id of all tables is the decimal text of one (``7``, not ``007``)."""
    results = [table.copy(deep=False) for table in tables]
    for name in IDS:
        found = [exact_integers(table[name].cat.categories) for table in tables]
        integers = [each.to_numpy() for each in found if each is not None]
        if len(integers) == len(tables):
            for result, known in zip(results, integers, strict=True):
                result[name] = pd.Series(known[codes_of(result[name])], index=result.index)
    return results
