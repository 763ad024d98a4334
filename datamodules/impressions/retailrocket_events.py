"""RetailRocket's events as viewed items of sessions, and the properties that an item had at a time."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import compute

from datamodules.tables import Columns
from datamodules.tables.categories import as_categories, codes_of
from datamodules.tables.columns import refuse_columns
from datamodules.tables.text import TextPart
from lightning_modules.utilities.progress import working

#: Labels of a viewed item, by the event that makes them 1.
LABEL_OF_EVENT = {"addtocart": "click", "transaction": "pay"}
_COLUMNS = {"timestamp": pa.int64(), "itemid": pa.string(), "property": pa.string(), "value": pa.string()}
_LARGEST_EXACT = 2.0**53
_REMEDY = "Take the table as it is published"


def milliseconds(time: pd.Series, path: Path) -> pd.Series:
    """Return times as int64; whole numbers that a program wrote as ``1433221332117.0`` are those.

    Raises:
        ValueError: If they are dates, or one is no whole number.
    """
    if not pd.api.types.is_numeric_dtype(time):
        raise ValueError(
            f"{path}: column 'timestamp' holds dates such as {time.iloc[0]}; write milliseconds, as published"
        )
    wrong = (time % 1 != 0) | (time.abs() > _LARGEST_EXACT)
    if pd.api.types.is_float_dtype(time) and wrong.any():
        raise ValueError(
            f"{path}: column 'timestamp' holds {time[wrong].iloc[0]}, which is no whole number of milliseconds; write "
            "these, as published"
        )
    return time.astype("int64")


def sessions_by_inactivity(visitor: np.ndarray, time: np.ndarray, gap: float) -> np.ndarray:
    """Return the number of every event's session, int64 [n], counted from 0 by visitor and then time.

    Args:
        visitor: Number of the visitor, [n], in any order.
        time: Time of the event, [n].
        gap: The longest pause within a session, in the unit of ``time``.
    """
    order = np.lexsort((time, visitor))
    ordered_visitor, ordered_time = visitor[order], time[order]
    begins = np.ones(len(order), dtype=bool)
    begins[1:] = (np.diff(ordered_visitor) != 0) | (np.diff(ordered_time) > gap)
    session = np.empty(len(order), dtype=np.int64)
    session[order] = np.cumsum(begins) - 1
    return session


def viewed_items(events: pd.DataFrame, gap: float) -> pd.DataFrame:
    """Return one row for each item viewed in a session, ordered by the session's beginning and the view's time.

    Args:
        events: Columns ``timestamp`` in milliseconds, and ``visitorid``, ``itemid``, ``event`` as categories.
        gap: The longest pause within a session, in milliseconds.

    Returns:
        The first view's row with ``session``, ``session_begin``, the labels ``click`` and ``pay`` (float32) and
        ``views_before`` and ``time_in_session`` (float32).
    """
    session = sessions_by_inactivity(codes_of(events["visitorid"]), events["timestamp"].to_numpy(), gap)
    events = events.assign(session=session)
    events["session_begin"] = events.groupby("session")["timestamp"].transform("min")
    events["pair"] = session * len(events["itemid"].cat.categories) + codes_of(events["itemid"])
    views = events[events["event"] == "view"].sort_values(["session_begin", "session", "timestamp"], kind="stable")
    table = views.drop_duplicates("pair").reset_index(drop=True)
    for event, label in LABEL_OF_EVENT.items():
        last = events[events["event"] == event].groupby("pair")["timestamp"].max()
        table[label] = (table["pair"].map(last) >= table["timestamp"]).astype("float32")
    table["views_before"] = np.log1p(table.groupby("session").cumcount()).astype("float32")
    seconds = (table["timestamp"] - table["session_begin"]) / 1000
    table["time_in_session"] = np.log1p(seconds).astype("float32")
    return table.assign(session=as_categories(table["session"])).drop(columns=["pair", "event"])


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
