"""Where a data set's tables lie in a folder."""

from pathlib import Path

_TABLE_SUFFIXES = (".csv", ".tsv", ".parquet")


def find_tables(root: Path) -> tuple[Path, ...]:
    """Return the one table to split, or the three tables train, validation, test of a published split.

    Args:
        root: A table, a folder with one table, or a folder with ``NAME.train.csv``, ``NAME.validation.csv`` and
            ``NAME.test.csv`` (the layout of AutoLossGen, https://arxiv.org/abs/2204.13160).

    Raises:
        FileNotFoundError: If a table is missing.
        ValueError: If the folder holds more than one data set.
    """
    if root.is_file():
        return (root,)
    if not root.is_dir():
        raise missing_file(root)
    train = _only(sorted(root.glob("*.train.csv")), root)
    return _single_table(root) if train is None else _published_split(train)


def matching_tables(folder: Path, pattern: str, *, at_most: int | None = None) -> list[Path]:
    """Return the files of a folder that match a pattern, ordered by name.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If there are more than ``at_most``.
    """
    if not folder.is_dir():
        raise missing_file(folder)
    found = sorted(folder.glob(pattern))
    if not found:
        raise FileNotFoundError(f"{folder} holds no {pattern}, but {_contents(folder)}. Correct the path")
    if at_most is not None and len(found) > at_most:
        names = ", ".join(path.name for path in found)
        raise ValueError(f"{folder} holds several {pattern}: {names}. Leave {at_most} of them there")
    return found


def missing_file(path: Path) -> FileNotFoundError:
    """Return the error for a missing file or folder, which says what there is instead."""
    folder = next(parent for parent in (path.parent, *path.parent.parents) if parent.is_dir())
    return FileNotFoundError(f"there is no {path}; {folder.absolute()} holds {_contents(folder)}. Correct the path")


def _single_table(root: Path) -> tuple[Path, ...]:
    table = _only(sorted(path for path in root.iterdir() if path.suffix.lower() in _TABLE_SUFFIXES), root)
    if table is None:
        raise FileNotFoundError(
            f"{root} holds no table (NAME.train.csv with its validation and test, or one of "
            f"{', '.join(_TABLE_SUFFIXES)}), but {_contents(root)}. Let root name the table or its folder"
        )
    return (table,)


def _published_split(train: Path) -> tuple[Path, ...]:
    name = train.name.removesuffix(".train.csv")
    tables = tuple(train.with_name(f"{name}.{part}.csv") for part in ("train", "validation", "test"))
    for table in tables:
        if not table.is_file():
            raise missing_file(table)
    return tables


def _only(tables: list[Path], root: Path) -> Path | None:
    if len(tables) > 1:
        names = ", ".join(table.name for table in tables)
        raise ValueError(
            f"{root} holds several data sets: {names}. Let root name one table, or give each its own folder"
        )
    return tables[0] if tables else None


def _contents(folder: Path, at_most: int = 12) -> str:
    names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    shown = ", ".join(names[:at_most]) or "nothing"
    return shown if len(names) <= at_most else f"{shown} and {len(names) - at_most} more"
