"""RetailRocket as it is published: events of a shop's visitors, with carts and purchases."""

from pathlib import Path
from typing import Any

import pandas as pd

from datamodules.impressions.encoding import Impressions
from datamodules.impressions.published import PublishedImpressions
from datamodules.impressions.retailrocket_events import (
    LABEL_OF_EVENT,
    as_of,
    milliseconds,
    read_properties,
    viewed_items,
)
from datamodules.tables import Columns, matching_tables, read_columns
from datamodules.tables.categories import as_categories, attach

CATEGORICAL_COLUMNS = ("itemid", "categoryid", "parentid", "available", "hour", "weekday")
NUMERICAL_COLUMNS = ("views_before", "time_in_session")

_PROPERTIES = ("categoryid", "available")
_MINUTE = 60_000


class RetailRocket(PublishedImpressions):
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
        options: The options of :class:`PublishedImpressions`.

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
        **options: Any,
    ) -> None:
        layout = {
            "categorical_columns": CATEGORICAL_COLUMNS,
            "numerical_columns": NUMERICAL_COLUMNS,
            "tasks": ["click", "pay"],
            "session_column": "session",
            "user_column": "visitorid",
            "item_column": "itemid",
            "time_column": "session_begin",
            "ratios": ratios,
            "funnel": True,
        }
        super().__init__(root, layout, **options)
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
        return self._impressions(table, self.split_table(table))

    def _events(self) -> pd.DataFrame:
        path: Path = self.root / "events.csv"
        events = read_columns(path, Columns(keys=["visitorid", "itemid", "event"], times=["timestamp"]))
        events["timestamp"] = milliseconds(events["timestamp"], path)
        for kind in events["event"].cat.categories:
            if kind not in ("view", *LABEL_OF_EVENT):
                raise ValueError(
                    f"{path} has the event '{kind}'; the events of a shop are view, {', '.join(LABEL_OF_EVENT)}"
                )
        if not (events["event"] == "view").any():
            raise ValueError(f"{path} has no event 'view', and the rows are the viewed items; check the file")
        return events
