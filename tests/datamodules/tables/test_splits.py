from collections import defaultdict
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datamodules import InteractionsDataModule, MovieLens
from datamodules.tables.splits import Splits, by_ratio, positive_leave_one_out

MIN_INTERACTIONS = 5
interactions = st.lists(st.tuples(st.integers(1, 4), st.integers(0, 1), st.integers(0, 9)), min_size=1, max_size=60)


def frame_of(rows: list[tuple[int, int, int]], with_time: bool) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["user", "label", "time"]).assign(item=range(len(rows)))
    return frame if with_time else frame.drop(columns="time")


def naive_leave_one_out(frame: pd.DataFrame) -> list[set[int]]:
    """Walk through every user's rows, one by one; rows are known by their item."""
    by_user = defaultdict(list)
    for row in frame.to_dict("records"):
        by_user[row["user"]].append(row)
    train: set[int] = set()
    validation: set[int] = set()
    test: set[int] = set()
    for rows in by_user.values():
        ordered = sorted(rows, key=lambda row: row.get("time", 0))
        places = [place for place, row in enumerate(ordered) if row["label"] == 1]
        first, second = (places[-2], places[-1]) if len(places) >= 3 else (len(rows), len(rows))
        if len(rows) < MIN_INTERACTIONS:
            first = second = len(rows)
        for place, row in enumerate(ordered):
            (train if place < first else validation if place < second else test).add(row["item"])
    return [train, validation, test]


@given(rows=interactions, with_time=st.booleans())
def test_leave_one_out_agrees_with_a_walk_through_every_user(rows: list[tuple[int, int, int]], with_time: bool) -> None:
    frame = frame_of(rows, with_time)
    splits = positive_leave_one_out(frame, MIN_INTERACTIONS)
    assert [set(part["item"]) for part in splits] == naive_leave_one_out(frame)
    assert sum(map(len, splits)) == len(frame)


@given(rows=interactions)
def test_ratio_with_time_never_trains_on_the_future(rows: list[tuple[int, int, int]]) -> None:
    frame = frame_of(rows, with_time=True)
    parts = by_ratio(frame, (0.5, 0.3, 0.2))
    assert pd.concat(parts)["item"].tolist() == [
        item for _, item in sorted(zip(frame.time, frame["item"], strict=True))
    ]
    assert len(parts.train) == pytest.approx(0.5 * len(rows), abs=0.5)
    assert len(parts.test) == pytest.approx(0.2 * len(rows), abs=0.5)


def test_ratio_without_time_is_random_and_reproducible() -> None:
    frame = frame_of([(1, 1, 0)] * 100, with_time=False)
    parts, again, other = (by_ratio(frame, seed=seed) for seed in (1, 1, 2))
    assert [len(part) for part in parts] == [80, 10, 10]
    assert sorted(pd.concat(parts)["item"]) == list(range(100))
    assert parts.test["item"].tolist() == again.test["item"].tolist() != other.test["item"].tolist()
    assert parts.test["item"].max() < 99
    assert parts.test["item"].is_monotonic_increasing


@pytest.mark.parametrize("ratios", [(0.8, 0.2), (0.8, 0.1, 0.2), (1.0, 0.0, 0.0), (1.2, -0.1, -0.1)])
def test_unusable_ratios_are_refused(ratios: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="three positive numbers that add up to 1"):
        by_ratio(frame_of([(1, 1, 0)], with_time=True), ratios)


def rows_by_split(data: InteractionsDataModule) -> Splits:
    return data.read_splits()


def test_movielens_split_is_near_the_published_one(real_data: Path) -> None:
    ours = rows_by_split(MovieLens(str(real_data / "ml-100k")))
    published = rows_by_split(InteractionsDataModule(str(real_data / "ml100k01-1-5")))
    assert [len(part) for part in published] == [94_638, 2_334, 3_028]
    assert [len(part) for part in ours] == [94_626, 2_363, 3_011]
    for name in ("validation", "test"):
        held_out, expected = getattr(ours, name), getattr(published, name)
        assert held_out.label.sum() == expected.label.sum() == 942
        assert set(held_out.user) == set(expected.user)
    both = pd.concat(ours, keys=Splits._fields).merge(pd.concat(published, keys=Splits._fields), on=["user", "item"])
    assert len(both) == 100_000
    assert (both.label_x == both.label_y).all()


def test_published_split_follows_the_rule_but_for_ties(real_data: Path) -> None:
    """Put together again in its own order, the published split must be split as it was."""
    published = rows_by_split(InteractionsDataModule(str(real_data / "ml100k01-1-5")))
    again = positive_leave_one_out(pd.concat(published))
    for ours, theirs in zip(again, published, strict=True):
        pd.testing.assert_frame_equal(ours, theirs)
