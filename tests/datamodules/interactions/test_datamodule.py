import logging
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import torch

from datamodules import Batch, BatchLoader, InteractionsDataModule, PairLoader, SyntheticInteractions

TRAIN = "uid\tiid\tlabel\nann\t10\t1\nbob\t11\t0\nann\t12\t0\nbob\t10\t1\n"
VALIDATION = "uid\tiid\tlabel\nann\t11\t1\neve\t10\t0\n"
TEST = "uid\tiid\tlabel\nbob\t12\t0\nann\t99\t1\neve\t98\t1\n"


@pytest.fixture
def published(tmp_path: Path) -> Path:
    for name, text in (("train", TRAIN), ("validation", VALIDATION), ("test", TEST)):
        (tmp_path / f"set.{name}.csv").write_text(text)
    return tmp_path


def table(size: int = 40) -> pd.DataFrame:
    index = range(size)
    return pd.DataFrame({"uid": [i % 5 for i in index], "iid": [i % 7 for i in index], "label": [i % 2 for i in index]})


def test_published_split_becomes_indices_fitted_on_training_rows(published: Path) -> None:
    data = InteractionsDataModule(str(published))
    assert (data.num_users, data.num_items) == (3, 4)
    data.setup()
    assert [column.tolist() for column in data.rows["train"]] == [[1, 2, 1, 2], [1, 2, 3, 1], [1, 0, 0, 1]]
    assert [column.tolist() for column in data.rows["validation"]] == [[1, 0], [2, 1], [1, 0]]
    assert [column.tolist() for column in data.rows["test"]] == [[2, 1, 0], [3, 0, 0], [0, 1, 1]]
    assert [column.dtype for column in data.rows["test"]] == [torch.int64, torch.int64, torch.float32]


def test_reading_happens_once(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = InteractionsDataModule(str(published))
    assert data.num_users == 3
    monkeypatch.setattr(data, "read_splits", lambda: pytest.fail("read twice"))
    data.setup("fit")
    assert data.num_items == 4


def test_unknown_ids_are_logged_in_one_line(published: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        InteractionsDataModule(str(published)).setup()
    (line,) = [record.message for record in caplog.records if "index 0" in record.message]
    assert "1 users and 0 items of the 2 validation rows" in line
    assert "1 users and 2 items of the 3 test rows" in line


def test_predictions_get_the_ids_of_their_rows(published: Path) -> None:
    data = InteractionsDataModule(str(published), eval_batch_size=2)
    decoded = pd.concat([data.decode(batch) for batch in data.predict_dataloader()])
    assert decoded.to_dict("list") == {"user": ["bob", "ann", "eve"], "item": [12, 99, 98]}
    known = data.decode(next(iter(data.test_dataloader())))
    assert known.user.tolist() == ["bob", "ann"]
    assert known["item"].isna().tolist() == [False, True]


def test_loaders_have_their_rows_and_sizes(published: Path) -> None:
    data = InteractionsDataModule(str(published), batch_size=3, eval_batch_size=2, seed=0)
    train, test = data.train_dataloader(), data.test_dataloader()
    assert type(train) is BatchLoader
    assert train.shuffle
    assert [len(batch.user) for batch in train] == [3, 1]
    assert [batch.label.tolist() for batch in test] == [[0, 1], [1]]
    assert [batch.label.tolist() for batch in data.val_dataloader()] == [[1, 0]]


def test_models_that_train_on_pairs_get_pairs(published: Path) -> None:
    data = InteractionsDataModule(str(published), seed=0)
    for wanted in (True, False):
        trainer = SimpleNamespace(lightning_module=SimpleNamespace(trains_on_pairs=wanted))
        data.trainer = trainer  # type: ignore[assignment]
        assert isinstance(data.train_dataloader(), PairLoader) is wanted


@pytest.mark.parametrize("name", ["table.csv", "table.parquet"])
def test_single_table_is_split(tmp_path: Path, name: str) -> None:
    frame = table()
    frame.to_parquet(tmp_path / name) if name.endswith("parquet") else frame.to_csv(tmp_path / name, index=False)
    data = InteractionsDataModule(str(tmp_path), ratios=(0.5, 0.25, 0.25))
    data.setup()
    assert {key: len(rows.user) for key, rows in data.rows.items()} == {"train": 20, "validation": 10, "test": 10}


def test_held_out_rows_of_a_table_do_not_depend_on_the_training_seed(tmp_path: Path) -> None:
    table().to_csv(tmp_path / "table.csv", index=False)
    splits = [InteractionsDataModule(str(tmp_path), seed=seed).read_splits().test for seed in (1, 2)]
    pd.testing.assert_frame_equal(*splits)
    other = InteractionsDataModule(str(tmp_path), split_seed=1).read_splits().test
    assert other.index.tolist() != splits[0].index.tolist()


def test_options_name_columns_and_threshold(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"who": list("aabb") * 3, "what": range(12), "stars": [5, 1, 4, 4] * 3, "when": range(12, 0, -1)}
    )
    frame.to_csv(tmp_path / "table.csv", index=False, sep=";")
    data = InteractionsDataModule(
        str(tmp_path / "table.csv"),
        user_column="who",
        item_column="what",
        rating_column="stars",
        rating_threshold=4,
        time_column="when",
        ratios=(0.5, 0.25, 0.25),
    )
    splits = data.read_splits()
    assert splits.train["item"].tolist() == [11, 10, 9, 8, 7, 6]
    assert splits.test.label.tolist() == [0, 0, 1]


def test_split_without_rows_is_refused(tmp_path: Path) -> None:
    table(3).to_csv(tmp_path / "table.csv", index=False)
    with pytest.raises(ValueError, match=r"the validation split of .* has no rows"):
        InteractionsDataModule(str(tmp_path), split="leave_one_out").setup()


def test_file_without_rows_is_named(published: Path) -> None:
    (published / "set.validation.csv").write_text("uid\tiid\tlabel\n")
    with pytest.raises(ValueError, match=r"set\.validation\.csv has no rows"):
        InteractionsDataModule(str(published)).setup()


def test_split_with_one_label_is_warned_of(published: Path) -> None:
    (published / "set.test.csv").write_text("uid\tiid\tlabel\nann\t11\t1\n")
    with pytest.warns(UserWarning, match="all test rows of .* have label 1: AUC is undefined"):
        InteractionsDataModule(str(published)).setup()


def fitted(root: Path, trains_on_pairs: bool) -> InteractionsDataModule:
    data = InteractionsDataModule(str(root))
    data.trainer = SimpleNamespace(lightning_module=SimpleNamespace(trains_on_pairs=trains_on_pairs))  # type: ignore[assignment]
    data.setup("fit")
    return data


def test_training_rows_with_one_label_are_warned_of_unless_negatives_are_drawn(
    published: Path, recwarn: pytest.WarningsRecorder
) -> None:
    (published / "set.train.csv").write_text(TRAIN.replace("\t0\n", "\t1\n"))
    said = "all train rows of .* have label 1: nothing can be learned from them"
    fitted(published, trains_on_pairs=True)
    assert not [each for each in recwarn if "train rows" in str(each.message)]
    with pytest.warns(UserWarning, match=said):
        data = fitted(published, trains_on_pairs=False)
    with pytest.raises(ValueError, match=r"all 4 training rows have label 1, .* add rows with the other label"):
        data.hold_out(0.5, seed=0)


@pytest.mark.parametrize("column", ["user", "item"])
def test_held_out_rows_of_which_training_knows_nothing_are_warned_of(published: Path, column: str) -> None:
    changed = VALIDATION.replace("eve\t10", "new\t10") if column == "user" else VALIDATION
    unknown = {"user": changed.replace("ann", "zoe"), "item": changed.replace("11", "77").replace("10", "78")}
    (published / "set.validation.csv").write_text(unknown[column])
    with pytest.warns(UserWarning, match=f"training knows no {column} of the 2 validation rows") as caught:
        InteractionsDataModule(str(published)).setup()
    assert len([each for each in caught if "training knows no" in str(each.message)]) == 1


IDLE = [
    ({"rating_threshold": 4.0}, "rating_threshold would have no effect, since the labels are those"),
    ({"rating_column": "label", "label_column": "uid"}, "label_column would have no effect, since the labels are made"),
    ({"split": "leave_one_out", "ratios": (0.5, 0.25, 0.25)}, "ratios would have no effect, since split leave_one_out"),
    ({"split": "leave_one_out", "split_seed": 1}, "split_seed would have no effect, since split leave_one_out"),
    ({"time_column": "when", "split_seed": 1}, "split_seed would have no effect, since time divides"),
]


@pytest.mark.parametrize(("options", "expected"), IDLE)
def test_options_without_effect_are_refused(tmp_path: Path, options: dict[str, Any], expected: str) -> None:
    table().assign(when=range(40)).to_csv(tmp_path / "table.csv", index=False)
    with pytest.raises(ValueError, match=expected):
        InteractionsDataModule(str(tmp_path), **options).setup()


@pytest.mark.parametrize(
    "options", [{"time_column": "iid"}, {"split": "leave_one_out"}, {"ratios": (0.5, 0.25, 0.25)}, {"split_seed": 1}]
)
def test_options_that_divide_a_published_split_are_refused(published: Path, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(options))} would have no effect, since .* a split of three"):
        InteractionsDataModule(str(published), **options).setup()


def test_hold_out_divides_the_training_rows(tmp_path: Path) -> None:
    data = SyntheticInteractions(num_users=9, num_items=9, num_interactions=80)
    before = {name: Batch(*(column.clone() for column in rows)) for name, rows in data_rows(data).items()}
    part = data.hold_out(0.25, seed=3)
    assert isinstance(part, SyntheticInteractions)
    assert len(part.rows["validation"].user) == 16
    assert sorted(cells(part.rows["train"]) + cells(part.rows["validation"])) == sorted(cells(before["train"]))
    assert cells(part.rows["test"]) == cells(before["test"])
    assert (part.num_users, part.num_items) == (data.num_users, data.num_items)
    part.setup("fit")
    assert len(part.rows["train"].user) == 48
    assert {name: cells(rows) for name, rows in data.rows.items()} == {
        name: cells(rows) for name, rows in before.items()
    }
    assert cells(data.hold_out(0.25, seed=3).rows["train"]) == cells(part.rows["train"])
    assert cells(data.hold_out(0.25, seed=4).rows["train"]) != cells(part.rows["train"])


def data_rows(data: InteractionsDataModule) -> dict[str, Batch]:
    data.setup()
    return data.rows


def cells(rows: Batch) -> list[tuple[float, ...]]:
    return list(zip(*(column.tolist() for column in rows), strict=True))


@pytest.mark.parametrize("share", [0.0, 0.001, 0.999, 1.0, 2.0])
def test_hold_out_of_nothing_or_everything_is_refused(share: float) -> None:
    data = SyntheticInteractions(num_users=9, num_items=9, num_interactions=80)
    with pytest.raises(ValueError, match=f"holding out {share} of 64 training rows"):
        data.hold_out(share, seed=0)


def test_hold_out_with_one_label_is_refused() -> None:
    data = SyntheticInteractions(num_users=9, num_items=9, num_interactions=80)
    with pytest.raises(ValueError, match="the 1 held-out rows all have label"):
        data.hold_out(1 / 64, seed=0)


def test_movielens_is_read_well_within_a_second(real_data: Path) -> None:
    started = time.process_time()
    data = InteractionsDataModule(str(real_data / "ml100k01-1-5"))
    data.setup()
    assert time.process_time() - started < 1
    assert [len(rows.user) for rows in data.rows.values()] == [94_638, 2_334, 3_028]
    assert (data.num_users, data.num_items) == (943 + 1, 1647 + 1)
    assert [rows.label.sum().item() for rows in data.rows.values()] == [53_491, 942, 942]


@pytest.mark.parametrize("kind", ["object", "category"])
@pytest.mark.parametrize(("column", "split"), [("user", "train"), ("item", "validation"), ("label", "test")])
def test_missing_cells_of_data_of_ones_own_are_refused(
    monkeypatch: pytest.MonkeyPatch, column: str, split: str, kind: str
) -> None:
    data = SyntheticInteractions(num_users=9, num_items=9, num_interactions=80)
    splits = data.read_splits()
    missing = getattr(splits, split).reset_index(drop=True)
    missing[column] = missing[column].where(missing.index > 2)
    if column != "label":
        missing[column] = missing[column].astype(kind)
    monkeypatch.setattr(data, "read_splits", lambda: splits._replace(**{split: missing}))
    with pytest.raises(ValueError, match=f"'{column}' is missing in 3 of the {len(missing)} {split} rows of synthetic"):
        data.setup()
