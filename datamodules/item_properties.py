"""Properties of items that change with time, looked up as of an event's time."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
from pyarrow import compute

from datamodules.categories import codes_of
from datamodules.tables import Columns
from datamodules.tables.errors import refuse_columns
from datamodules.tables.text import TextPart
from lightning_modules.progress import working

_COLUMNS = {"timestamp": pa.int64(), "itemid": pa.string(), "property": pa.string(), "value": pa.string()}
_REMEDY = "Take the table as it is published"


def read_properties(paths: Sequence[Path], names: Sequence[str]) -> pd.DataFrame:
    """Read some properties from tables ``timestamp,itemid,property,value``, which may be larger than the memory.

    Raises:
        ValueError: If a table cannot be read or lacks a column.
    """
    return pd.concat([_read_some(path, names) for path in paths], ignore_index=True)


def as_of(properties: pd.DataFrame, name: str, items: pd.Series, time: pd.Series) -> pd.Series:
    """Return for every event the last value of a property that its item had by then, missing if there was none yet.

    Args:
        properties: Columns ``timestamp``, ``itemid``, ``property`` and ``value``.
        name: The property.
        items: Item of every event, [n], as categories.
        time: Time of every event, [n], in the unit of ``timestamp``.
    """
    wanted = properties[properties["property"] == name]
    code = items.cat.categories.get_indexer(pd.Index(wanted["itemid"]))
    known = pd.DataFrame({"code": code, "time": wanted["timestamp"].to_numpy(), "value": wanted["value"].to_numpy()})
    known = known[known["code"] >= 0].sort_values("time", kind="stable")
    events = pd.DataFrame({"code": codes_of(items).astype(code.dtype), "time": time.to_numpy()})
    events = events.sort_values("time", kind="stable")
    found = pd.merge_asof(events, known, on="time", by="code").set_axis(events.index)
    return found["value"].sort_index().set_axis(items.index).rename(name)


def _read_some(path: Path, names: Sequence[str]) -> pd.DataFrame:
    table = TextPart(path)
    refuse_columns(
        Columns(keys=list(_COLUMNS), hints=dict.fromkeys(_COLUMNS, _REMEDY)), table.names, path, table.separator
    )
    with working(f"reading {path.name}"):
        kept = [batch.filter(compute.is_in(batch["property"], pa.array(names))) for batch in table.batches(_COLUMNS)]
    return pa.Table.from_batches(kept, pa.schema(_COLUMNS.items())).to_pandas()
