"""What is wrong in a data set is refused with what to do, or counted and said."""

import logging
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from datamodules import ImplicitFeedback, UniformNegatives
from tests.datamodules.implicit.test_datamodule import TRAIN, ids_of, pairs_in, write_lists, write_table


def loaded(root: Path, **options: Any) -> ImplicitFeedback:
    data = ImplicitFeedback(str(root), **options)
    data.setup()
    return data


def test_held_out_users_and_items_without_training_rows_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    data = loaded(write_lists(tmp_path / "d", test="0 4\n7 0 90 91\n"))
    assert (data.num_users, data.num_items) == (4, 9)
    assert "1 users and 2 items of the 4 test rows" in caplog.text
    (block,) = data.test_dataloader()
    assert block.user.tolist() == [0, 3]


def test_a_test_of_other_users_is_warned_of(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="training knows none of the users of the test rows"):
        loaded(write_lists(tmp_path / "d", test="u0 4\nu1 0\n"))


def test_test_rows_that_are_training_rows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"2 of the 3 test rows of .* are training rows, too: .* only be missed\. .* set repeated"
    ):
        loaded(write_lists(tmp_path / "d", test="0 0 4\n1 2\n"))


def test_test_rows_that_are_training_rows_are_removed_or_counted(tmp_path: Path) -> None:
    root = write_lists(tmp_path / "d", test="0 0 4\n1 2\n")
    with pytest.warns(UserWarning, match="2 of the 3 test rows .* are left out there"):
        assert ids_of(loaded(root, repeated="remove"), "test") == {(0, 4)}
    with pytest.warns(UserWarning, match="2 of the 3 test rows .* count as misses"):
        data = loaded(root, repeated="count")
    assert ids_of(data, "test") == {(0, 0), (0, 4), (1, 2)}
    assert ids_of(data, "train") | ids_of(data, "validation") == pairs_in(TRAIN)


@pytest.mark.parametrize(
    ("mask", "reason", "kept"),
    [
        ("training", "the best epoch is chosen by these", "stay there, though the best epoch is chosen by them"),
        ("all", "items of validation are not recommended, so that they could only be missed", "count as misses"),
    ],
)
def test_test_rows_that_are_validation_rows_are_told_apart(mask: str, reason: str, kept: str, tmp_path: Path) -> None:
    root = write_lists(tmp_path / "d", valid="0 4 5\n", test="0 0 4 5\n1 2 6\n")
    what = "2 of the 5 test rows of .* are validation rows, too"
    with pytest.warns(UserWarning, match=f"{what}, and {kept}") as caught:
        data = loaded(root, mask=mask, repeated="count")
    assert "2 of the 5 test rows" in str(caught[0].message)
    assert "are training rows, too, and count as misses" in str(caught[0].message)
    (block,) = data.test_dataloader()
    seen, relevant = (set(zip(*each.tolist(), strict=True)) for each in (block.seen, block.relevant))
    # Those of training are masked anyway.
    assert len(seen & relevant) == (4 if mask == "all" else 2)
    with pytest.warns(UserWarning, match=f"{what}, and are left out there"):
        assert ids_of(loaded(root, mask=mask, repeated="remove"), "test") == {(1, 6)}
    (tmp_path / "d" / "test.txt").write_text("0 4 5\n1 6\n")
    with pytest.raises(ValueError, match=f"2 of the 3 test rows of .* are validation rows, too: {reason}"):
        loaded(root, mask=mask)


def test_a_test_without_other_rows_cannot_be_removed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="so that none is left"):
        loaded(write_lists(tmp_path / "d", test="0 0\n1 2\n"), repeated="remove")


def test_repeated_pairs_are_taken_once_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    data = loaded(write_lists(tmp_path / "d", train="0 0 1 1 2 2 2\n1 5 6\n"))
    assert sum(len(data.rows[split].user) for split in ("train", "validation")) == 5
    assert "3 of the train rows of" in caplog.text


def test_more_negatives_than_a_user_has_not_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    data = loaded(write_lists(tmp_path / "d", valid="0 6\n"), negatives=UniformNegatives(4))
    data.train_dataloader()
    assert "4 negatives a row are more than the 2 items that user '2' does not have" in caplog.text


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"train.txt": TRAIN}, r"holds train.txt, but no test.txt, and a split needs both. Add test.txt, or let root "),
        ({"test.tsv": "u\ti\n0\t1\n", "valid.tsv": ""}, r"holds test.tsv, but no train.tsv, and a split needs both"),
        ({"train.txt": TRAIN, "train.tsv": "u\ti\n0\t1\n", "test.txt": "0 6"}, "several files of train rows"),
        ({"train.tsv": "u\n0\n", "test.tsv": "u\n0\n"}, "one of users and one of items are needed"),
        ({"train.txt": "0 1\n1 2\n", "test.txt": "0 2\n"}, "no user has two training rows"),
        ({"notes.md": ""}, r"holds no table \(train.txt and test.txt of .*, or NAME.train.csv .*\), but notes.md"),
    ],
)
def test_folders_that_cannot_be_used_are_refused(files: dict[str, str], message: str, tmp_path: Path) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        loaded(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "time"}, "split time needs a time_column"),
        ({"rating_column": "stars", "rating_threshold": 9}, "no row of .* has a rating above 9"),
        ({"rating_threshold": 2}, "rating_threshold would have no effect"),
        ({"rating_column": "stars", "label_column": "stars"}, "name one of them"),
        ({"validation_share": 0.2}, "validation_share would have no effect"),
        ({"split": "leave_one_out", "ratios": (0.7, 0.2, 0.1)}, "ratios would have no effect"),
        ({"time_column": "when", "split_seed": 1}, "split_seed would have no effect"),
        ({"ratios": (0.7, 0.2, 0.2)}, "ratios must be three positive numbers"),
        ({"user_column": "whom"}, "has no column 'whom'.* Set user_column"),
    ],
)
def test_options_that_cannot_be_used_are_refused(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = write_table(tmp_path / "shop.csv")
    with pytest.raises(ValueError, match=message):
        loaded(path, **{"user_column": "who", "item_column": "what", **options})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "leave_one_out"}, "split would have no effect, since .* holds a published split"),
        ({"ratios": (0.7, 0.2, 0.1)}, "ratios would have no effect"),
        ({"user_column": "who"}, "user_column would have no effect, since .* holds lists of items"),
        ({"validation_share": 1.5}, r"a share of 1\.5 of each user's rows cannot be held out"),
    ],
)
def test_options_of_tables_are_refused_for_item_lists(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        loaded(write_lists(tmp_path / "d"), **options)


def test_a_share_is_refused_beside_validation_rows(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"validation_share would have no effect, since .* holds validation rows"):
        loaded(write_lists(tmp_path / "d", valid="0 6\n"), validation_share=0.2)


def test_labels_of_nobody_are_refused(tmp_path: Path) -> None:
    pd.DataFrame({"u": [1, 2], "i": [1, 2], "bought": [0, 0]}).to_csv(tmp_path / "shop.csv", index=False)
    with pytest.raises(ValueError, match=r"no row of .* has the label 1"):
        loaded(tmp_path, label_column="bought")


@pytest.mark.parametrize("header", ["", "Unnamed: 0"])
def test_an_index_without_a_name_is_not_taken_for_the_users(header: str, tmp_path: Path) -> None:
    table = pd.DataFrame({"who": [1, 1, 2, 2, 2] * 6, "what": range(30)})
    table.to_csv(tmp_path / "shop.csv", index_label=header)
    message = f"taken for the users, '{header}', has no name.* Name user_column and item_column, of 'who', 'what'"
    for options in ({}, {"item_column": "what"}):
        with pytest.raises(ValueError, match=message):
            loaded(tmp_path, **options)
    assert loaded(tmp_path, user_column="who", item_column="what").num_users == 2
    with pytest.raises(ValueError, match="taken for the items, "):
        loaded(tmp_path, user_column="who")


def test_an_index_in_parquet_is_not_taken_for_the_items(tmp_path: Path) -> None:
    table = pd.DataFrame({"who": [1, 1, 2, 2, 2] * 6}, index=range(7, 97, 3)).sample(frac=1, random_state=0)
    table.to_parquet(tmp_path / "shop.parquet")
    with pytest.raises(ValueError, match="taken for the items, '__index_level_0__', has no name"):
        loaded(tmp_path)


@pytest.mark.parametrize("column", ["user", "item"])
def test_missing_ids_of_data_of_ones_own_are_refused(
    column: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = ImplicitFeedback(str(write_lists(tmp_path / "d")))
    read = data.read_tables()
    assert read.test is not None
    test = read.test.astype(object)
    test.loc[1:2, column] = None
    monkeypatch.setattr(data, "read_tables", lambda: read._replace(test=test))
    with pytest.raises(ValueError, match=f"column '{column}' is missing in 2 of the 4 test rows of"):
        data.setup()
