import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
import torch

from datamodules import BatchLoader, CategoryMapper, ImpressionBatch, ImpressionsDataModule
from datamodules.sessions.transitions import following_rows

OPTIONS = {
    "categorical_columns": ["shop", "tab"],
    "numerical_columns": ["price"],
    "tasks": ["click", "buy"],
    "session_column": "visit",
    "user_column": "who",
    "item_column": "item",
    "time_column": "when",
    "seed": 0,
}


def frame(size: int = 60, seed: int = 0) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    click = generator.integers(2, size=size)
    return pd.DataFrame(
        {
            "who": [f"user{i // 3 % 7}" for i in range(size)],
            "visit": np.arange(size) // 3,
            "item": generator.integers(100, 110, size=size),
            "shop": generator.choice(["a", "b", "c"], size=size),
            "tab": generator.integers(4, size=size),
            "price": generator.normal(5, 3, size=size).round(3),
            "click": click,
            "buy": click * generator.integers(2, size=size),
            "when": generator.permutation(size),
        }
    )


def module(path: Path, table: pd.DataFrame | None = None, **options: object) -> ImpressionsDataModule:
    (frame() if table is None else table).to_csv(path / "table.csv", index=False)
    return ImpressionsDataModule(str(path / "table.csv"), **{**OPTIONS, **options})  # type: ignore[arg-type]


def test_rows_are_split_by_time_and_encoded_by_the_training_rows(tmp_path: Path) -> None:
    data, table = module(tmp_path), frame().sort_values("when").reset_index(drop=True)
    assert data.tasks == ("click", "buy")
    assert (data.field_sizes, data.num_numerical) == ((4, 5), 1)
    train, held_out = table.iloc[:48], {"validation": table.iloc[48:54], "test": table.iloc[54:]}
    for name, part in {"train": train, **held_out}.items():
        rows = data.rows[name]
        assert rows.label.tolist() == part[["click", "buy"]].to_numpy().tolist()
        scaled = (part["price"] - train["price"].mean()) / train["price"].std(ddof=0)
        np.testing.assert_allclose(rows.numerical[:, 0], scaled, rtol=1e-5, atol=1e-6)
        assert rows.row.tolist() == list(range(len(part)))
        for place, field in enumerate(["shop", "tab"]):
            indices = data.category_mapper.state_dict()["fields"][field]
            assert rows.categorical[:, place].tolist() == [indices[str(value)] for value in part[field]]
        for group, column in ((rows.session, "visit"), (rows.user, "who")):
            assert len(set(zip(group.tolist(), part[column], strict=True))) == part[column].nunique()
    types = [column.dtype for column in data.rows["train"]]
    assert types == [torch.int64, torch.float32, torch.float32, torch.int64, torch.int64, torch.int64]


def test_unseen_and_missing_categories_are_0_and_missing_numbers_the_mean(tmp_path: Path) -> None:
    table = frame().sort_values("when")
    table.iloc[-1, table.columns.get_loc("shop")] = "new"
    table.iloc[-2, table.columns.get_loc("shop")] = None
    table.iloc[-1, table.columns.get_loc("price")] = None
    test = module(tmp_path, table)._rows("test")
    assert test.categorical[-2:, 0].tolist() == [0, 0]
    assert test.numerical[-1, 0] == 0


def test_unknown_categories_are_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    table = frame().sort_values("when")
    table.iloc[-3:, table.columns.get_loc("shop")] = "new"
    with caplog.at_level(logging.INFO):
        module(tmp_path, table).setup()
    assert any("index 0 in test rows: shop 50.0%" in record.message for record in caplog.records)


def test_published_split_boundaries_and_split_column_agree(tmp_path: Path) -> None:
    table = frame().sort_values("when")
    names = ["train"] * 40 + ["validation"] * 8 + ["test"] * 12
    for name in ("train", "validation", "test"):
        part = table[np.array(names) == name]
        part.to_csv(tmp_path / f"set.{name}.csv", index=False)
    ready = ImpressionsDataModule(str(tmp_path), **OPTIONS)  # type: ignore[arg-type]
    (tmp_path / "one").mkdir()
    by_time = module(tmp_path / "one", table, boundaries=(40, 48))
    (tmp_path / "two").mkdir()
    by_column = module(tmp_path / "two", table.assign(part=names), split_column="part")
    for data in (by_time, by_column):
        for name in names:
            for first, second in zip(ready._rows(name)[:3], data._rows(name)[:3], strict=True):
                assert torch.equal(first, second)
    assert ready.decode(ready.rows["test"]).equals(by_time.decode(by_time.rows["test"]))


def test_predictions_get_the_ids_of_their_rows(tmp_path: Path) -> None:
    table = frame().sort_values("when").tail(6)
    data = module(tmp_path, eval_batch_size=4)
    decoded = pd.concat([data.decode(batch) for batch in data.predict_dataloader()])
    assert list(decoded) == ["session", "user", "item"]
    assert decoded["session"].tolist() == table["visit"].tolist()
    assert decoded["user"].tolist() == table["who"].tolist()
    assert decoded["item"].tolist() == table["item"].tolist()


def test_groups_fall_back_to_users_sessions_and_rows(tmp_path: Path) -> None:
    users = module(tmp_path, session_column=None, item_column=None)
    test = users._rows("test")
    assert torch.equal(test.session, test.user)
    assert list(users.decode(test)) == ["user"]
    sessions = module(tmp_path, user_column=None, item_column=None)
    assert torch.equal(sessions._rows("test").session, sessions._rows("test").user)
    alone = module(tmp_path, user_column=None, session_column=None, item_column=None)
    assert len(alone._rows("test").session.unique()) == 6
    assert alone.decode(alone.rows["test"])["row"].tolist() == list(range(6))


def test_loaders_have_their_rows_and_sizes(tmp_path: Path) -> None:
    data = module(tmp_path, batch_size=20, eval_batch_size=4)
    train = data.train_dataloader()
    assert isinstance(train, BatchLoader)
    assert train.shuffle
    assert [len(batch.row) for batch in train] == [20, 20, 8]
    first = next(iter(train))
    assert isinstance(first, ImpressionBatch)
    assert torch.equal(first.categorical, data.rows["train"].categorical[first.row])
    assert [batch.row.tolist() for batch in data.val_dataloader()] == [[0, 1, 2, 3], [4, 5]]


def test_data_is_read_once_and_trains_in_lightning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = module(tmp_path, batch_size=16)
    assert data.num_numerical == 1
    monkeypatch.setattr(data, "read_impressions", lambda: pytest.fail("read twice"))
    seen: list[int] = []

    class Counting(pl.LightningModule):
        def training_step(self, batch: ImpressionBatch) -> None:
            seen.append(len(batch.label))

        def configure_optimizers(self) -> None:
            return None

    trainer = pl.Trainer(max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False)
    trainer.fit(Counting(), datamodule=data)
    assert seen == [16, 16, 16]


def test_leaks_are_named_once_before_training(tmp_path: Path) -> None:
    table = frame(300)
    data = module(tmp_path, table.assign(price=table["click"] * 2.0 + 0.001 * table["tab"]))
    data.setup("predict")
    with pytest.warns(UserWarning, match="the feature 'price' alone reaches an AUC of 1.0000 for task 'click'"):
        data.setup("fit")


def test_held_out_share_keeps_indices_and_test_rows(tmp_path: Path) -> None:
    data = module(tmp_path)
    copy = data.hold_out(0.25, seed=3)
    assert [len(copy.rows[name].row) for name in ("train", "validation", "test")] == [36, 12, 6]
    assert copy.rows["validation"].row.tolist() == list(range(12))
    assert len(data.rows["train"].row) == 48
    joined = torch.cat([copy.rows["train"].numerical, copy.rows["validation"].numerical])
    assert torch.equal(joined.sort(dim=0).values, data.rows["train"].numerical.sort(dim=0).values)


def test_fitted_mapper_can_be_used_again(tmp_path: Path) -> None:
    data = module(tmp_path, tail_shares={"shop": 0.5})
    data.category_mapper.save(tmp_path / "mapper.json")
    again = module(tmp_path, category_mapper=str(tmp_path / "mapper.json"))
    assert torch.equal(again._rows("test").categorical, data._rows("test").categorical)
    CategoryMapper({"shop": {"a": 1}}).save(tmp_path / "mapper.json")
    with pytest.raises(ValueError, match="the category mapper has the fields"):
        module(tmp_path, category_mapper=str(tmp_path / "mapper.json")).setup()
    with pytest.raises(ValueError, match="leave one of them out"):
        module(tmp_path, category_mapper=str(tmp_path / "mapper.json"), tail_shares={"shop": 0.5})


def test_constant_and_empty_features_are_0(tmp_path: Path) -> None:
    table = frame().assign(price=0.1, weight=np.nan)
    data = module(tmp_path, table, numerical_columns=["price", "weight"])
    with pytest.warns(UserWarning, match="column 'weight' has no filled cell"):
        data.setup()
    assert data.rows["train"].numerical.abs().max() < 1e-6
    # Filled in the test rows alone, it stays 0, since no model has learned from it.
    table = table.sort_values("when").assign(weight=[np.nan] * 59 + [7.0])
    data = module(tmp_path, table, numerical_columns=["price", "weight"])
    with pytest.warns(UserWarning, match="column 'weight' has no filled cell"):
        data.setup()
    assert (data.rows["test"].numerical[:, 1] == 0).all()


def test_distant_numbers_keep_their_digits(tmp_path: Path) -> None:
    table = frame()
    table["price"] = 1e6 + np.arange(len(table))
    data = module(tmp_path, table)
    numbers = torch.cat([data._rows(name).numerical for name in ("train", "validation", "test")])
    assert len(numbers.unique()) == len(table)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"categorical_columns": ["shops"]}, "no column 'shops'.*Did you mean 'shop'"),
        ({"categorical_columns": [], "numerical_columns": []}, "no column of .* is a feature"),
        ({"categorical_columns": ["price"]}, "two uses"),
        ({"categorical_columns": ["price"], "numerical_columns": []}, r"table\.csv: column 'price' holds the category"),
        ({"tasks": ["price"], "numerical_columns": []}, "line 2: column 'price' is .* neither 0 nor 1"),
        ({"boundaries": (100, 200)}, "the validation split of .* has no rows"),
        ({"ratios": (0.5, 0.5, 0.5)}, "ratios must be three positive numbers"),
    ],
)
def test_bad_input_says_what_is_wrong(tmp_path: Path, options: dict[str, object], expected: str) -> None:
    data = module(tmp_path, **options)
    with pytest.raises(ValueError, match=expected):
        data.setup()


@pytest.mark.parametrize("given_as", ["split_column", "three files"])
def test_rows_of_a_session_follow_one_another_in_time_however_the_splits_are_given(
    tmp_path: Path, given_as: str
) -> None:
    table = frame(90).assign(part=np.repeat(["train", "validation", "test"], 30), price=lambda rows: rows["when"])
    if given_as == "split_column":
        data = module(tmp_path, table, split_column="part")
    else:
        for name, rows in table.groupby("part"):
            rows.to_csv(tmp_path / f"set.{name}.csv", index=False)
        data = ImpressionsDataModule(str(tmp_path), **OPTIONS)  # type: ignore[arg-type]
    for rows in (data._rows(name) for name in ("train", "validation", "test")):
        following, last = following_rows(rows.session)
        time = rows.numerical[:, 0]
        assert len(last) - int(last.sum()) == 20
        assert (time[following[~last]] > time[~last]).all()
        assert rows.row.tolist() == list(range(30))


def test_dates_with_a_zone_order_the_rows_of_a_split_column(tmp_path: Path) -> None:
    table = frame(30).assign(part=["train", "validation", "test"] * 10)
    dates = pd.Timestamp("2024-01-01", tz="Asia/Shanghai") + pd.to_timedelta(table["when"], unit="h")
    table.assign(when=dates, price=table["when"]).to_parquet(tmp_path / "table.parquet")
    options = OPTIONS | {"split_column": "part"}
    data = ImpressionsDataModule(str(tmp_path / "table.parquet"), **options)  # type: ignore[arg-type]
    assert (data._rows("train").numerical[:, 0].diff() > 0).all()


IDLE = [
    ({"split_column": "part", "boundaries": (1, 2)}, "boundaries would have no effect, since split_column part"),
    ({"split_column": "part", "ratios": (0.5, 0.25, 0.25)}, "ratios would have no effect, since split_column part"),
    ({"boundaries": (1, 2), "ratios": (0.5, 0.25, 0.25)}, "ratios would have no effect, since the boundaries"),
]


@pytest.mark.parametrize(("options", "expected"), IDLE)
def test_options_without_effect_are_refused(tmp_path: Path, options: dict[str, object], expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        module(tmp_path, **options)


@pytest.mark.parametrize("options", [{"split_column": "who"}, {"boundaries": (1, 2)}, {"ratios": (0.5, 0.25, 0.25)}])
def test_options_that_divide_a_published_split_are_refused(tmp_path: Path, options: dict[str, object]) -> None:
    for name in ("train", "validation", "test"):
        frame(9).to_csv(tmp_path / f"set.{name}.csv", index=False)
    data = ImpressionsDataModule(str(tmp_path), **{**OPTIONS, **options})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=f"{next(iter(options))} would have no effect, since .* a split of three"):
        data.setup()


def test_held_out_rows_of_which_training_knows_no_category_are_warned_of(tmp_path: Path) -> None:
    table = frame().sort_values("when")
    table["shop"] = [*table["shop"][:54], *["new"] * 6]
    with pytest.warns(UserWarning, match="training knows no shop of the 6 test rows") as caught:
        module(tmp_path, table).setup()
    assert len([each for each in caught if "training knows no" in str(each.message)]) == 1


def test_boundaries_without_times_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="name their time_column"):
        module(tmp_path, time_column=None, boundaries=(1, 2))


def test_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no"):
        ImpressionsDataModule(str(tmp_path / "gone.csv"), **OPTIONS).setup()  # type: ignore[arg-type]
