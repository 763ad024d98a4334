"""Sessions from events without any: a session ends where its visitor pauses."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import compute

from datamodules.impressions.datamodule import ImpressionsDataModule
from datamodules.impressions.encoding import Impressions
from datamodules.impressions.splits import by_time_shares
from datamodules.tables import Columns, matching_tables, read_columns
from datamodules.tables.categories import as_categories, attach, codes_of
from datamodules.tables.columns import refuse_columns
from datamodules.tables.text import TextPart
from lightning_modules.utilities.progress import working


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


CATEGORICAL_COLUMNS = ("itemid", "categoryid", "parentid", "available", "hour", "weekday")
NUMERICAL_COLUMNS = ("views_before", "time_in_session")

_PROPERTIES = ("categoryid", "available")
_EVENTS = {"addtocart": "click", "transaction": "pay"}
_MINUTE = 60_000


class RetailRocket(ImpressionsDataModule):
    """Items viewed in a session; ``click`` is added to the cart and ``pay`` is bought in it, at the view or after it.

    The data is https://www.kaggle.com/datasets/retailrocket/ecommerce-dataset, and the labels are those of Liu et al.,
    "Multi-Task Recommendations with Reinforcement Learning", WWW 2023, https://arxiv.org/abs/2302.03328. ``root`` holds
    ``events.csv``, ``item_properties*.csv`` and ``category_tree.csv``.

    A session ends where its visitor pauses. Each item viewed in a session is one row, at its first view. The fields
    are the item, its category and availability as of the view's time (missing before the first snapshot), the
    category's parent, and hour and weekday (UTC); the features are how many items were viewed before in the session
    and for how long it lasts, both as log(1 + x). Splits are divided by the sessions' beginnings and keep sessions
    whole.

    Args:
        root: Folder of the tables.
        inactivity_minutes: The longest pause within a session.
        ratios: Shares of training, validation and test rows in order of time.
        tail_shares: For some fields the share of training rows whose categories, the rarest, share one index.
        category_mapper: JSON file of a category mapper to use; None fits one.
        batch_size: Training rows a batch and process.
        eval_batch_size: Rows a batch and process in validation, test and prediction.
        seed: Seed of the training order; None takes torch's seed when training is set up.

    Raises:
        FileNotFoundError: When the data is first needed, if a table is missing.
        ValueError: If the pause is not above 0; when the data is first needed, if a table cannot be used, or a split
            is empty.
    """

    def __init__(
        self,
        root: str,
        *,
        inactivity_minutes: float = 30.0,
        ratios: tuple[float, float, float] = (0.6, 0.2, 0.2),
        tail_shares: dict[str, float] | None = None,
        category_mapper: str | None = None,
        batch_size: int = 2048,
        eval_batch_size: int = 16384,
        seed: int | None = None,
    ) -> None:
        super().__init__(
            root,
            categorical_columns=list(CATEGORICAL_COLUMNS),
            numerical_columns=list(NUMERICAL_COLUMNS),
            tasks=["click", "pay"],
            session_column="session",
            user_column="visitorid",
            item_column="itemid",
            time_column="session_begin",
            ratios=ratios,
            tail_shares=tail_shares,
            category_mapper=category_mapper,
            funnel=True,
            batch_size=batch_size,
            eval_batch_size=eval_batch_size,
            seed=seed,
        )
        if not inactivity_minutes > 0:
            raise ValueError(
                f"inactivity_minutes is the longest pause within a session, above 0; got {inactivity_minutes}"
            )
        self.inactivity_minutes = inactivity_minutes

    def read_impressions(self) -> Impressions:
        """Make the rows of the events, look the items up, and divide the sessions by time."""
        table = viewed_items(self._events(), self.inactivity_minutes * _MINUTE)
        properties = read_properties(matching_tables(self.root, "item_properties*.csv"), _PROPERTIES)
        for name in _PROPERTIES:
            table[name] = as_categories(as_of(properties, name, table["itemid"], table["timestamp"]))
        tree = self.root / "category_tree.csv"
        parents = read_columns(tree, Columns(keys=["categoryid"], categories=["parentid"]))
        table = attach(table, parents, "categoryid", tree)
        moment = pd.to_datetime(table["timestamp"], unit="ms")
        table["hour"], table["weekday"] = as_categories(moment.dt.hour), as_categories(moment.dt.day_of_week)
        return self._impressions(table, by_time_shares(table["session_begin"], self.ratios, source=self.root))

    def _events(self) -> pd.DataFrame:
        path: Path = self.root / "events.csv"
        events = read_columns(path, Columns(keys=["visitorid", "itemid", "event"], times=["timestamp"]))
        if not pd.api.types.is_numeric_dtype(events["timestamp"]):
            first = events["timestamp"].iloc[0]
            raise ValueError(
                f"{path}: column 'timestamp' holds dates such as {first}; write milliseconds, as published"
            )
        for kind in events["event"].cat.categories:
            if kind not in ("view", *_EVENTS):
                raise ValueError(f"{path} has the event '{kind}'; the events of a shop are view, {', '.join(_EVENTS)}")
        if not (events["event"] == "view").any():
            raise ValueError(f"{path} has no event 'view', and the rows are the viewed items; check the file")
        return events


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
    for event, label in _EVENTS.items():
        last = events[events["event"] == event].groupby("pair")["timestamp"].max()
        table[label] = (table["pair"].map(last) >= table["timestamp"]).astype("float32")
    table["views_before"] = np.log1p(table.groupby("session").cumcount()).astype("float32")
    seconds = (table["timestamp"] - table["session_begin"]) / 1000
    table["time_in_session"] = np.log1p(seconds).astype("float32")
    return table.assign(session=as_categories(table["session"])).drop(columns=["pair", "event"])
