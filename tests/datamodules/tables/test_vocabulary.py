import pandas as pd
import pytest
import torch

from datamodules.tables.vocabulary import Vocabulary, count_unknown


@pytest.mark.parametrize("ids", [["b", "a", "b", "c"], [20, 3, 20, -1]])
def test_known_ids_are_counted_from_one_and_come_back(ids: list[str] | list[int]) -> None:
    vocabulary = Vocabulary.fit(pd.Series(ids))
    indices = vocabulary.encode(pd.Series(ids))
    assert indices.dtype == torch.int64
    assert sorted(set(indices.tolist())) == [1, 2, 3]
    assert vocabulary.decode(indices).tolist() == ids
    assert len(vocabulary) == 4


def test_order_of_rows_does_not_matter() -> None:
    first, second = (Vocabulary.fit(pd.Series(ids)) for ids in (["x", "y", "z"], ["z", "x", "y", "x"]))
    ids = pd.Series(["z", "y", "x"])
    assert first.encode(ids).tolist() == second.encode(ids).tolist() == [3, 2, 1]


def test_unknown_ids_are_zero() -> None:
    vocabulary = Vocabulary.fit(pd.Series(["a", "b"]))
    indices = vocabulary.encode(pd.Series(["b", "q", "a", "r"]))
    assert indices.tolist() == [2, 0, 1, 0]
    assert count_unknown(indices) == 2
    assert vocabulary.decode(indices).tolist() == ["b", None, "a", None]


def test_repeated_ids_are_refused() -> None:
    with pytest.raises(ValueError, match="'a' occurs twice"):
        Vocabulary(["a", "b", "a"])


@pytest.mark.parametrize("kind", ["object", "category"])
@pytest.mark.parametrize("ids", [["a", None, "b"], [3, None, 5]])
def test_missing_ids_are_refused(ids: list[object], kind: str) -> None:
    with pytest.raises(ValueError, match="1 of 3 ids are missing"):
        Vocabulary.fit(pd.Series(ids, dtype=kind))
