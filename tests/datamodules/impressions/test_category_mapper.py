from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from datamodules import CategoryMapper
from datamodules.tables.categories import as_categories, attach, concatenate

TABLE = pd.DataFrame({"tab": [7, 7, 7, 3, 3, 9, 12, None], "shop": ["a", "b", "a", "c", None, "a", "b", "é"]})


def test_values_are_numbered_by_falling_frequency_from_one() -> None:
    mapper = CategoryMapper.fit(TABLE, ["tab", "shop"])
    assert mapper.state_dict() == {
        "fields": {"tab": {"7": 1, "3": 2, "12": 3, "9": 4}, "shop": {"a": 1, "b": 2, "c": 3, "é": 4}}
    }
    assert mapper.sizes == (5, 5)
    assert mapper.encode(TABLE).tolist() == [[1, 1], [1, 2], [1, 1], [2, 3], [2, 0], [4, 1], [3, 2], [0, 4]]


def test_only_the_given_rows_are_fitted_and_others_are_unknown() -> None:
    mapper = CategoryMapper.fit(TABLE, ["tab"], np.array([0, 3, 4]))
    assert mapper.encode(TABLE, np.array([6, 3, 0, 7])).tolist() == [[0], [1], [2], [0]]


def test_tail_shares_one_index() -> None:
    # 7 of 7 filled cells: 3 + 2 + 1 + 1; with a share of .4 the head must hold 4.2 of them.
    mapper = CategoryMapper.fit(TABLE, ["tab"], tail_shares={"tab": 0.4})
    assert mapper.state_dict()["fields"]["tab"] == {"7": 1, "3": 2, "12": 3, "9": 3}
    assert mapper.sizes == (4,)


@settings(deadline=None, max_examples=50)
@example([0, 0, 0, 1, 1, 1, 2, 2, 2, 3], 3)
@given(st.lists(st.integers(0, 20), min_size=1, max_size=60), st.integers(1, 9))
def test_a_published_threshold_is_one_minus_the_tail_share(values: list[int], tenths: int) -> None:
    # As published: by falling frequency, all from the one that passes the threshold on share an index.
    counts = sorted(pd.Series(values).value_counts(), reverse=True)
    alone = sum(10 * sum(counts[: place + 1]) <= tenths * len(values) for place in range(len(counts)))
    exact = any(10 * sum(counts[: place + 1]) == tenths * len(values) for place in range(len(counts)))
    mapper = CategoryMapper.fit(pd.DataFrame({"field": values}), ["field"], tail_shares={"field": (10 - tenths) / 10})
    indices = list(mapper.state_dict()["fields"]["field"].values())
    shared = max(indices) if indices.count(max(indices)) > 1 else None
    own = sum(index != shared for index in indices)
    # Here the one that passes it keeps its own.
    assert own in ({alone} if exact else {alone + 1}) or own == len(counts)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 20), min_size=1, max_size=60), st.floats(0, 0.99))
def test_tail_is_what_the_frequent_values_leave(values: list[int], share: float) -> None:
    table = pd.DataFrame({"field": values})
    encoded = CategoryMapper.fit(table, ["field"], tail_shares={"field": share}).encode(table)[:, 0].numpy()
    counts = pd.Series(values).value_counts().to_numpy()
    reached = np.cumsum(counts) >= (1 - share) * len(values) - 1e-9
    head = int(reached.argmax()) + 1
    assert sorted(np.bincount(encoded)[1 : head + 1], reverse=True) == counts[:head].tolist()
    assert (encoded > head).sum() == counts[head:].sum()
    assert encoded.max() <= head + 1


def test_mapper_survives_json(tmp_path: Path) -> None:
    mapper = CategoryMapper.fit(TABLE, ["tab", "shop"], tail_shares={"shop": 0.5})
    path = tmp_path / "new" / "mapper.json"
    mapper.save(path)
    assert CategoryMapper.load(path).state_dict() == mapper.state_dict()
    assert (CategoryMapper.load(path).encode(TABLE) == mapper.encode(TABLE)).all()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"fields": {"tab": {"7": 0}}}', '{"fields": {"tab": {"7": 1.5}}}'])
def test_file_that_is_no_mapper_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mapper.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"mapper\.json holds no category mapper"):
        CategoryMapper.load(path)


def test_missing_mapper_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no .*mapper\.json"):
        CategoryMapper.load(tmp_path / "mapper.json")


@pytest.mark.parametrize("shares", [{"tab": 1.0}, {"tab": -0.1}, {"other": 0.2}])
def test_unusable_tail_share_is_refused(shares: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="tail share"):
        CategoryMapper.fit(TABLE, ["tab"], tail_shares=shares)


def test_all_empty_column_is_all_unknown_with_a_warning() -> None:
    table = pd.DataFrame({"tab": [None, None], "shop": ["a", "b"]})
    with pytest.warns(UserWarning, match="column 'tab' has no filled cell"):
        mapper = CategoryMapper.fit(table, ["tab", "shop"])
    assert mapper.sizes == (1, 3)
    assert mapper.encode(table).tolist() == [[0, 1], [0, 2]]


@pytest.mark.parametrize("values", [[1.0, 2.5], ["1.0", "2.5"], pd.Categorical([0.5, 1.0])])
def test_floats_are_no_categories(values: object) -> None:
    with pytest.raises(ValueError, match=r"column 'price' holds the category (2|0)\.5"):
        CategoryMapper.fit(pd.DataFrame({"price": values}), ["price"])


def test_whole_floats_are_integers_and_other_texts_stay() -> None:
    assert as_categories(pd.Series([4.0, None, -1.0])).cat.categories.tolist() == ["-1", "4"]
    assert as_categories(pd.Series(["4.0", "4", "x", "4.00"])).tolist() == ["4", "4", "x", "4"]
    assert as_categories(pd.Series(["007", "1.5", "v"])).tolist() == ["007", "1.5", "v"]


def test_tables_are_joined_under_common_categories() -> None:
    shops = [as_categories(pd.Series(values)) for values in (["b", "a"], ["c", None])]
    joined = concatenate([pd.DataFrame({"shop": shop, "n": 1.0}) for shop in shops], ["a.csv", "b.csv"])
    assert joined["shop"].astype(object).fillna("none").tolist() == ["b", "a", "c", "none"]
    assert len(joined["n"]) == 4


def test_features_are_attached_by_key() -> None:
    rows = pd.DataFrame({"user": as_categories(pd.Series([3, 1, 2, 1]))})
    features = pd.DataFrame(
        {"user": as_categories(pd.Series([1, 3])), "city": as_categories(pd.Series(["x", "y"])), "age": [30.0, 40.0]}
    )
    joined = attach(rows, features, "user", "users.csv")
    expected = rows.astype(str).merge(features.astype({"user": str}), on="user", how="left")
    assert joined["city"].astype(object).fillna("-").tolist() == expected["city"].astype(object).fillna("-").tolist()
    assert joined["age"].fillna(-1).tolist() == expected["age"].fillna(-1).tolist() == [40, 30, -1, 30]
    with pytest.raises(ValueError, match=r"users\.csv has more than one row with user 1"):
        attach(rows, features.iloc[[0, 0]], "user", "users.csv")
