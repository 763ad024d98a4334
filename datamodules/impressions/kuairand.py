"""KuaiRand-Pure as it is published: logs of short videos shown to users, with click and long view."""

from pathlib import Path
from typing import Any, Literal

import pandas as pd

from datamodules.impressions.encoding import Impressions
from datamodules.impressions.published import PublishedImpressions
from datamodules.impressions.splits import by_time_boundaries
from datamodules.impressions.tasks import label_columns
from datamodules.tables import Columns, column_names, matching_tables, read_columns
from datamodules.tables.categories import attach, codes_of, concatenate
from datamodules.tables.columns import missing_column

TASKS = {"click": ["is_click"], "long_view": ["is_click", "long_view"]}

CATEGORICAL_COLUMNS = (
    "user_id",
    "user_active_degree",
    "fans_user_num_range",
    "friend_user_num_range",
    "register_days_range",
    "onehot_feat1",
    "onehot_feat3",
    "onehot_feat7",
    "onehot_feat8",
    "video_id",
    "author_id",
    "upload_type",
    "music_id",
    "tag",
    "tab",
    "hourmin",
)
NUMERICAL_COLUMNS = ("duration_ms", "register_days")

_KEYS = ("user_id", "video_id")


class KuaiRand(PublishedImpressions):
    """KuaiRand-Pure, standard logs: ``click`` is ``is_click``, ``long_view`` is ``is_click`` and ``long_view``.

    Gao et al., "KuaiRand: An Unbiased Sequential Recommendation Dataset with Randomly Exposed Videos", CIKM 2022,
    https://arxiv.org/abs/2208.08696; the files are those of https://kuairand.com. ``root`` holds
    ``log_standard*.csv`` (all of them are read), ``user_features*.csv`` and ``video_features_basic*.csv``.

    The 16 fields of ``CATEGORICAL_COLUMNS`` say who sees (the user; their activity, ranges of followers, friends and of
    the account's age, and encrypted features, for users that training does not know), what (video, author, upload,
    music, tag), where (``tab`` of the app) and when (``hourmin``, the hour); of the users' and videos' columns they are
    those that tell most about a click by themselves, where two say the same one of them. The 2 numerical features are
    the video's length, which decides what a long view is, and the account's age. Left out are what is written after
    the impression (``is_like``, ``play_time_ms``, ...), what is almost constant, and the date, whose held-out values
    training does not know. Video statistics (``video_features_statistic*.csv``) are left out unless asked for: they
    are sums over the whole month, the test days' clicks among them.

    Args:
        root: Folder of the tables.
        categorical_columns: Fields, columns of any of the tables; None takes ``CATEGORICAL_COLUMNS``.
        numerical_columns: Features, columns of any of the tables; None takes ``NUMERICAL_COLUMNS``.
        tasks: Label columns of the logs that must all be 1, for each task; None takes click and long view.
        validation_from: First date of validation, as the logs write it.
        test_from: First date of test.
        session: What one session is: all rows of a user in a split, or those of one day.
        video_statistics: Whether to add all statistics of the videos as numerical features, despite their leak.
        options: The options of :class:`PublishedImpressions`.

    Raises:
        FileNotFoundError: When the data is first needed, if a table is missing.
        ValueError: When the data is first needed, if a table cannot be used, or a split is empty.
    """

    def __init__(
        self,
        root: str,
        *,
        categorical_columns: list[str] | None = None,
        numerical_columns: list[str] | None = None,
        tasks: dict[str, list[str]] | None = None,
        validation_from: int = 20220503,
        test_from: int = 20220505,
        session: Literal["user", "user_day"] = "user",
        video_statistics: bool = False,
        **options: Any,
    ) -> None:
        layout = {
            "categorical_columns": CATEGORICAL_COLUMNS if categorical_columns is None else categorical_columns,
            "numerical_columns": NUMERICAL_COLUMNS if numerical_columns is None else numerical_columns,
            "tasks": tasks or TASKS,
            "session_column": "session" if session == "user_day" else None,
            "user_column": "user_id",
            "item_column": "video_id",
            "time_column": "time_ms",
        }
        super().__init__(root, layout, **options)
        self.dates = (validation_from, test_from)
        self.video_statistics = video_statistics

    def read_impressions(self) -> Impressions:
        """Join the tables and divide the rows by date; within a split they are ordered by time."""
        logs = matching_tables(self.root, "log_standard*.csv")
        wanted = [*self.categorical_columns, *self.numerical_columns]
        self._refuse_unknown(wanted, [logs[0], *self._feature_tables()])
        in_log = [name for name in column_names(logs[0]) if name in wanted]
        table = concatenate([read_columns(log, self._log_columns(in_log)) for log in logs], logs)
        table = table.sort_values("time_ms", kind="stable", ignore_index=True)
        table, known = self._with_features(table, [name for name in wanted if name not in in_log])
        if self.session_column is not None:
            table[self.session_column] = _user_days(table)
        rows = by_time_boundaries(table["date"], self.dates, source=self.root)
        return self._impressions(table, rows)._replace(features=[*self.numerical_columns, *known])

    def _log_columns(self, names: list[str]) -> Columns:
        return Columns(
            keys=_KEYS,
            categories=[name for name in names if name in self.categorical_columns],
            numbers=[name for name in names if name in self.numerical_columns],
            labels=label_columns(self.task_columns),
            times=["time_ms", "date"],
        )

    def _feature_tables(self) -> list[Path]:
        patterns = ("user_features*.csv", "video_features_basic*.csv")
        return [path for pattern in patterns for path in matching_tables(self.root, pattern, at_most=1)]

    def _with_features(self, table: pd.DataFrame, wanted: list[str]) -> tuple[pd.DataFrame, list[str]]:
        users, videos = self._feature_tables()
        of_user = [name for name in column_names(users) if name in wanted]
        of_video = [name for name in wanted if name not in of_user]
        table = self._attached(table, users, "user_id", of_user)
        table = self._attached(table, videos, "video_id", of_video)
        return self._with_statistics(table) if self.video_statistics else (table, [])

    def _refuse_unknown(self, wanted: list[str], tables: list[Path]) -> None:
        known = dict.fromkeys(name for table in tables for name in column_names(table))
        free = [name for name in known if name not in wanted]
        detail = f" (in {', '.join(table.name for table in tables)})"
        for name in wanted:
            if name not in known:
                remedy = "Correct the name, or take the tables as they are published"
                raise missing_column(name, list(known), self.root, free=free, detail=detail, remedy=remedy)

    def _attached(self, table: pd.DataFrame, path: Path, key: str, names: list[str]) -> pd.DataFrame:
        categories = [name for name in names if name in self.categorical_columns]
        numbers = [name for name in names if name in self.numerical_columns]
        return attach(table, read_columns(path, Columns([key], categories, numbers)), key, path)

    def _with_statistics(self, table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
        (path,) = matching_tables(self.root, "video_features_statistic*.csv", at_most=1)
        names = [name for name in dict.fromkeys(column_names(path)) if name != "video_id"]
        return attach(table, read_columns(path, Columns(["video_id"], numbers=names)), "video_id", path), names


def _user_days(table: pd.DataFrame) -> pd.Series:
    """Return the session ``user/date`` of every row as categories."""
    days, date = pd.factorize(table["date"])
    pairs, distinct = pd.factorize(codes_of(table["user_id"]).astype("int64") * len(date) + days)
    users = table["user_id"].cat.categories[distinct // len(date)]
    names = [f"{user}/{day}" for user, day in zip(users, date[distinct % len(date)], strict=True)]
    return pd.Series(pd.Categorical.from_codes(pairs, pd.Index(names)), index=table.index)
