"""Where the rows of a data set of implicit feedback lie: published splits, or one table to divide."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from datamodules.implicit.item_lists import read_item_lists
from datamodules.interactions.reading import read_interactions
from datamodules.tables import column_names, find_tables
from datamodules.tables.files import COMPRESSIONS, KINDS, NAMES_OF_SPLITS
from datamodules.tables.formats import is_parquet
from lightning_modules.utilities.messages import shortened

_LISTS = ".txt"
# How pandas writes an index without a name to CSV, reads it again, and writes it to Parquet.
_UNNAMED = r"\s*|Unnamed: \d+|__index_level_\d+__"
_LAYOUTS = "train.txt and test.txt of lists of items, or train.tsv and test.tsv of pairs, each perhaps with valid, or "


class FeedbackTables(NamedTuple):
    """Tables with the columns ``user``, ``item`` and, perhaps, ``time``.

    Attributes:
        train: The training rows, or all rows where there are no test rows.
        validation: The validation rows; None if they are to be taken from the training rows.
        test: The test rows; None if all three are to be taken from one table.
    """

    train: pd.DataFrame
    validation: pd.DataFrame | None = None
    test: pd.DataFrame | None = None


@dataclass(frozen=True)
class TableOptions:
    """How the tables of pairs are read; item lists need none of it.

    Attributes:
        columns: Columns of a table for ``user``, ``item``, ``label``, ``rating``, ``time``, as far as they are named.
        threshold: The rating above which an item counts as chosen.
        separator: What separates the cells; None takes it from the first line.
        header: The names of the columns of tables whose first line does not name them.
    """

    columns: Mapping[str, str]
    threshold: float
    separator: str | None
    header: Sequence[str] | None


def find_splits(root: Path) -> dict[str, Path]:
    """Return the files of a published split by "train", "validation" and "test", or one table as "train".

    Args:
        root: A folder with ``train`` and ``test``, perhaps ``valid``, each with the suffix of item lists (``.txt``) or
            of a table (``.tsv``, ``.csv``, ``.parquet``), perhaps compressed; or what ``find_tables`` takes.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If the folder holds several data sets.
    """
    found = {split: _files(root, names) for split, names in NAMES_OF_SPLITS.items()}
    if not found["train"]:
        if found["test"]:
            raise FileNotFoundError(_without_train(found["test"][0]))
        tables = find_tables(root, _LAYOUTS)
        return dict(zip(NAMES_OF_SPLITS if len(tables) > 1 else ("train",), tables, strict=True))
    for split, paths in found.items():
        if len(paths) > 1:
            names = ", ".join(path.name for path in paths)
            raise ValueError(f"{root} holds several files of {split} rows: {names}. Leave one there")
    if not found["test"]:
        raise FileNotFoundError(_without_test(found["train"][0]))
    return {split: paths[0] for split, paths in found.items() if paths}


def _without_test(train: Path) -> str:
    name = train.name.replace("train", "test", 1)
    return (
        f"{train.parent} holds {train.name}, but no {name}, and a split needs both. Add {name}, or let root name "
        f"{train} alone, whose rows are then divided by split and ratios (--data.split, --data.ratios)"
    )


def _without_train(test: Path) -> str:
    name = test.name.replace("test", "train", 1)
    return f"{test.parent} holds {test.name}, but no {name}, and a split needs both. Add {name}"


def read_table(path: Path, options: TableOptions) -> pd.DataFrame:
    """Read item lists or a table of pairs as the columns ``user``, ``item`` and, if it is named, ``time``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be used, or no row is left of it.
    """
    if is_item_lists(path):
        return read_item_lists(path)
    columns = {**_first_columns(path, options), **options.columns}
    table = read_interactions(
        path, columns, threshold=options.threshold, separator=options.separator, header=options.header
    )
    chosen = table[table.pop("label") > 0]
    if not len(chosen):
        what = f"a rating above {options.threshold:g}" if "rating" in columns else "the label 1"
        raise ValueError(f"no row of {path} has {what}, so that nobody chose anything. Correct the option or the table")
    return chosen.reset_index(drop=True)


def is_item_lists(path: Path) -> bool:
    """Return whether a file holds item lists, by its name."""
    return path.name.removesuffix(".gz").removesuffix(".zst").endswith(_LISTS)


def _files(root: Path, names: Sequence[str]) -> list[Path]:
    endings = [kind + compression for kind in (_LISTS, *KINDS) for compression in COMPRESSIONS]
    return [path for name in names for ending in endings if (path := root / f"{name}{ending}").is_file()]


def _first_columns(path: Path, options: TableOptions) -> dict[str, str]:
    """Return the first two columns as those of users and items.

    Raises:
        ValueError: If there is but one, one of them has no name, or what should be names are numbers.
    """
    if {"user", "item"} <= {*options.columns}:
        return {}
    names = list(options.header) if options.header else column_names(path, separator=options.separator)
    if not options.header and not is_parquet(path) and all(_is_number(name) for name in names):
        raise ValueError(
            f"{path}, line 1 holds numbers alone, where the names of the columns are expected. Name the columns with "
            f"header, such as [user,item{',rating' * (len(names) > 2)}]"
        )
    free = [name for name in names if name not in options.columns.values()]
    wanted = [role for role in ("user", "item") if role not in options.columns]
    if len(free) < len(wanted):
        raise ValueError(f"{path} has the columns {', '.join(names)}: one of users and one of items are needed")
    guessed = dict(zip(wanted, free, strict=False))
    _refuse_unnamed(guessed, names, path)
    return guessed


def _refuse_unnamed(guessed: Mapping[str, str], names: Sequence[str], path: Path) -> None:
    for role, name in guessed.items():
        if re.fullmatch(_UNNAMED, name):
            others = ", ".join(f"'{shortened(other)}'" for other in names if not re.fullmatch(_UNNAMED, other))
            raise ValueError(
                f"{path}: the column that would be taken for the {role}s, '{name}', has no name, as an index that "
                f"pandas wrote beside the rows. Name user_column and item_column, of {others or 'columns with names'}"
            )


def _is_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True
