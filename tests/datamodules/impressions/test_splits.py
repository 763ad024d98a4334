import numpy as np
import pandas as pd
import pytest

from datamodules.impressions.splits import by_column, by_time_boundaries, by_time_shares
from datamodules.tables.categories import as_categories


def as_lists(rows: dict[str, np.ndarray]) -> list[list[int]]:
    return [part.tolist() for part in rows.values()]


def test_shares_follow_time_and_keep_the_order_of_equal_times() -> None:
    time = pd.Series([5, 1, 9, 3, 7, 2, 8, 4, 10, 6])
    rows = by_time_shares(time, (0.6, 0.2, 0.2))
    assert as_lists(rows) == [[1, 5, 3, 7, 0, 9], [4, 6], [2, 8]]
    assert list(rows) == ["train", "validation", "test"]


def test_rows_of_one_time_stay_together() -> None:
    rows = by_time_shares(pd.Series([1, 1, 2, 2, 2, 2, 3, 3]), (0.5, 0.25, 0.25))
    assert as_lists(rows) == [[0, 1], [2, 3, 4, 5], [6, 7]]


def test_every_row_is_in_one_split() -> None:
    time = pd.Series(np.random.default_rng(0).integers(30, size=200))
    parts = by_time_shares(time, (0.7, 0.2, 0.1))
    assert sorted(np.concatenate(list(parts.values()))) == list(range(200))
    latest = [time[part].max() for part in parts.values()]
    earliest = [time[part].min() for part in parts.values()]
    assert latest[0] < earliest[1] <= latest[1] < earliest[2]


DATES = pd.Series(["2022-05-01", "2022-05-05", "2022-05-03", "2022-05-02"])


@pytest.mark.parametrize(
    ("time", "boundaries"),
    [
        (pd.Series([20220501, 20220505, 20220503, 20220502]), (20220502, "20220505")),
        (pd.to_datetime(DATES), ("2022-05-02", "2022-05-05")),
        (pd.to_datetime(DATES, utc=True), ("2022-05-02", "2022-05-05")),
    ],
)
def test_boundaries_are_the_first_times(time: pd.Series, boundaries: tuple[object, object]) -> None:
    assert as_lists(by_time_boundaries(time, boundaries)) == [[0], [3, 2], [1]]


def test_unusable_boundaries_are_refused() -> None:
    with pytest.raises(ValueError, match="must begin after"):
        by_time_boundaries(pd.Series([1, 2]), (2, 2))
    with pytest.raises(ValueError, match="'soon' is no time"):
        by_time_boundaries(pd.Series([1, 2]), ("soon", 2))


def test_split_without_rows_is_refused_with_the_times_there_are() -> None:
    with pytest.raises(ValueError, match=r"the test split of t\.csv has no rows: .*times go from 1 to 5"):
        by_time_boundaries(pd.Series([5, 1, 3]), (3, 9), source="t.csv")
    with pytest.raises(ValueError, match="the train split of the data has no rows: there are 9 rows at 1 different"):
        by_time_shares(pd.Series([4] * 9))


def test_column_names_the_split() -> None:
    column = as_categories(pd.Series(["test", "train", "validation", "train"], name="part"))
    assert as_lists(by_column(column, "t.csv")) == [[1, 3], [2], [0]]
    with pytest.raises(ValueError, match=r"column 'part' of t\.csv says 'val'"):
        by_column(as_categories(pd.Series(["train", "val"], name="part")), "t.csv")
