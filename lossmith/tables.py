"""Tables in memory as a file beside the study, from which the command line goes on too."""

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from datamodules import ImplicitFeedback, InteractionsDataModule
from lightning_modules.utilities.files import replace_file
from lossmith.description import class_path

#: Name of the file in the folder of a study or comparison.
TABLE_NAME = "data.parquet"


def is_table(data: object) -> bool:
    """Return whether this is a table of pandas, Arrow or another library that hands over Arrow columns."""
    return isinstance(data, pd.DataFrame) or hasattr(data, "__arrow_c_stream__")


def described_table(table: Any, root: Path, columns: Mapping[str, str], gives: str | None) -> dict[str, Any]:
    """Write a table into a folder, and return the section ``data`` of a configuration that reads it.

    Args:
        table: The table.
        root: The folder.
        columns: The names of its columns by their meaning: ``user``, ``item``, ``label``, ``rating``, ``time``.
        gives: What the model gives its loss; one of ``scores`` ranks the items that users chose.

    Raises:
        OSError: If the table cannot be written.
        ValueError: If a named column is missing, or the folder holds another table.
    """
    arrow = _as_arrow(table)
    missing = [name for name in columns.values() if name not in arrow.column_names]
    if missing:
        raise ValueError(f"the table has no column '{missing[0]}'; it has {', '.join(map(str, arrow.column_names))}")
    path = root / TABLE_NAME
    _keep(arrow, path)
    kind = ImplicitFeedback if gives == "scores" else InteractionsDataModule
    return {
        "class_path": class_path(kind),
        "init_args": {"root": str(path), **{f"{meaning}_column": name for meaning, name in columns.items()}},
    }


def _as_arrow(table: Any) -> pa.Table:
    try:
        frame = isinstance(table, pd.DataFrame)
        return pa.Table.from_pandas(table, preserve_index=False) if frame else pa.table(table)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise ValueError(f"the table cannot be written as Parquet: {error}") from error


def _keep(table: pa.Table, path: Path) -> None:
    """Write a table, unless the file holds it; another one there is what a study was begun with."""
    if path.exists():
        stored = pq.read_table(path)
        if not (stored.equals(table) or stored.to_pandas().equals(_as_stored(table).to_pandas())):
            raise ValueError(f"'{path}' holds another table than the one given: name another folder with root")
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, lambda temporary: pq.write_table(table, temporary))


def _as_stored(table: pa.Table) -> pa.Table:
    """Return what is read of a table that was written: categories of numbers and times in seconds have other types."""
    file = BytesIO()
    pq.write_table(table, file)
    return pq.read_table(file)
