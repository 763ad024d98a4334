"""Splits of impressions into training, validation and test rows, given by row numbers in order of time."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from datamodules.tables.categories import codes_of
from datamodules.tables.splits import RATIOS, Splits, ratio_cuts, refuse_without_effect
from datamodules.tables.times import as_boundary

SPLITS = Splits._fields

#: For each split the numbers of its rows, int64.
RowNumbers = dict[str, np.ndarray]


@dataclass(frozen=True)
class SplitRule:
    """How the options divide a data set: by a column, at two times, by shares in order of time, or as published.

    Attributes:
        split_column: Column of a single table that says ``train``, ``validation`` or ``test``.
        time_column: Column of the times; None takes the order of the rows.
        boundaries: First times of validation and test.
        ratios: Shares of training, validation and test rows.

    Raises:
        ValueError: If there are boundaries without a column of times, or an option that would have no effect.
    """

    split_column: str | None
    time_column: str | None
    boundaries: tuple[float | str, float | str] | None
    ratios: tuple[float, float, float]

    def __post_init__(self) -> None:
        if self.boundaries is not None and self.time_column is None:
            raise ValueError(f"the boundaries {self.boundaries} are times of the rows; name their time_column too")
        given = {"boundaries": self.boundaries is not None, "ratios": tuple(self.ratios) != RATIOS}
        if self.split_column is not None:
            refuse_without_effect(given, f"split_column {self.split_column} divides the rows")
        if given.pop("boundaries"):
            refuse_without_effect(given, f"the boundaries {self.boundaries} divide the rows")

    def refuse_options(self, root: Path) -> None:
        """Refuse options that say how a single table is split, where there are three.

        Raises:
            ValueError: If one is given.
        """
        given = {
            "split_column": self.split_column is not None,
            "boundaries": self.boundaries is not None,
            "ratios": tuple(self.ratios) != RATIOS,
        }
        refuse_without_effect(given, f"{root} holds a split of three tables")

    def published(self, table: pd.DataFrame, sizes: Sequence[int]) -> RowNumbers:
        """Return the rows of three tables of these sizes, which were concatenated, in order of time."""
        return self._in_order(one_after_another(sizes), table)

    def divide(self, table: pd.DataFrame, source: Path) -> RowNumbers:
        """Return the rows of a single table for each split, in order of time; raises as the functions below do."""
        if self.split_column is not None:
            return self._in_order(by_column(table[self.split_column], source), table)
        if self.time_column is None:
            return by_time_shares(pd.Series(range(len(table))), self.ratios, source=source)
        if self.boundaries is not None:
            return by_time_boundaries(table[self.time_column], self.boundaries, source=source)
        return by_time_shares(table[self.time_column], self.ratios, source=source)

    def _in_order(self, rows: RowNumbers, table: pd.DataFrame) -> RowNumbers:
        return rows if self.time_column is None else in_order_of_time(rows, table[self.time_column])


def by_time_shares(time: pd.Series, ratios: Sequence[float] = RATIOS, *, source: object = "the data") -> RowNumbers:
    """Divide the rows by time: the earliest for training, the latest for test; rows of one time stay together.

    Args:
        time: Time of every row, [n].
        ratios: Shares of training, validation and test rows, from which rows of one time may take a little.
        source: What to call the data set in messages.

    Raises:
        ValueError: If the ratios are not three positive numbers that add up to 1, or there are too few times.
    """
    values = _sortable(time)
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    cuts = ratio_cuts(ratios, len(time))
    within = np.minimum(cuts, max(len(time) - 1, 0))
    moved = np.where(cuts < len(time), np.searchsorted(ordered, ordered[within]), cuts) if len(time) else cuts
    rows = dict(zip(SPLITS, np.split(order, moved), strict=True))
    for name in _empty(rows):
        raise ValueError(
            f"the {name} split of {source} has no rows: there are {len(time)} rows at {time.nunique()} different "
            f"times, rows of one time stay together, and the ratios are {tuple(ratios)}. Give more rows, or split by "
            "another column"
        )
    return rows


def by_time_boundaries(
    time: pd.Series, boundaries: tuple[object, object], *, source: object = "the data"
) -> RowNumbers:
    """Divide the rows at two times, the first ones of validation and of test.

    Args:
        time: Time of every row, numbers or dates, [n].
        boundaries: Two numbers, or two ISO 8601 dates; a date without a zone is in that of the times.
        source: What to call the data set in messages.

    Raises:
        ValueError: If a boundary cannot be compared with the times, the second is not the later one, or a split would
            have no rows.
    """
    first, second = (as_boundary(boundary, time) for boundary in boundaries)
    if not first < second:
        raise ValueError(f"the test rows must begin after the validation rows, got the boundaries {boundaries}")
    order = np.argsort(_sortable(time), kind="stable")
    cuts = time.iloc[order].searchsorted(pd.Series([first, second]))
    rows = dict(zip(SPLITS, np.split(order, np.asarray(cuts)), strict=True))
    for name in _empty(rows):
        raise ValueError(
            f"the {name} split of {source} has no rows: validation begins at {boundaries[0]} and test at "
            f"{boundaries[1]}, but the rows' times go from {time.min()} to {time.max()}. Choose times between these"
        )
    return rows


def by_column(column: pd.Series, source: object) -> RowNumbers:
    """Divide the rows by a column of categories that says ``train``, ``validation`` or ``test``; their order is kept.

    Raises:
        ValueError: If the column says something else.
    """
    texts = column.cat.categories
    for text in texts:
        if text not in SPLITS:
            raise ValueError(f"column '{column.name}' of {source} says '{text}'; it may say {', '.join(SPLITS)}")
    codes = codes_of(column)
    return {name: np.flatnonzero(codes == texts.get_indexer([name])[0]) for name in SPLITS}


def one_after_another(sizes: Sequence[int]) -> RowNumbers:
    """Return the row numbers of three published splits whose tables were concatenated."""
    cuts = np.cumsum(sizes)
    return dict(zip(SPLITS, np.split(np.arange(cuts[-1]), cuts[:-1]), strict=True))


def in_order_of_time(rows: RowNumbers, time: pd.Series) -> RowNumbers:
    """Return the rows of every split ordered by time, [n] for all rows; rows of one time keep their order."""
    times = _sortable(time)
    return {name: numbers[np.argsort(times[numbers], kind="stable")] for name, numbers in rows.items()}


def _sortable(time: pd.Series) -> np.ndarray:
    # Dates with a zone would become Python objects.
    has_zone = getattr(time.dtype, "tz", None) is not None
    values: np.ndarray = (time.dt.tz_convert(None) if has_zone else time).to_numpy()
    return values


def _empty(rows: RowNumbers) -> list[str]:
    return [name for name, numbers in rows.items() if not len(numbers)]
