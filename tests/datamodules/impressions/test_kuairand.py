from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from datamodules import KuaiRand

FIELDS = ["user_id", "video_id", "tab", "user_active_degree", "tag", "onehot_feat4"]


def log(size: int, first_day: int, seed: int) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    day = generator.integers(first_day, first_day + 6, size=size)
    return pd.DataFrame(
        {
            "user_id": generator.integers(8, size=size),
            "video_id": generator.integers(20, 30, size=size),
            "date": 20220400 + day,
            "time_ms": day * 86_400_000 + generator.integers(86_400_000, size=size),
            "is_click": generator.integers(2, size=size),
            "is_like": 0,
            "long_view": generator.integers(2, size=size),
            "duration_ms": generator.integers(1, 100_000, size=size),
            "tab": generator.integers(3, size=size),
        }
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    log(150, 8, 0).to_csv(tmp_path / "log_standard_4_08_to_4_13_pure.csv", index=False)
    log(150, 14, 1).to_csv(tmp_path / "log_standard_4_14_to_4_19_pure.csv", index=False)
    (tmp_path / "log_random_4_14_to_4_19_pure.csv").write_text("not read")
    users = pd.DataFrame({"user_id": range(7), "user_active_degree": list("abcabca"), "register_days": range(7)})
    users.assign(onehot_feat4=[1.0, None, 2, 3, 1, 1, 1]).to_csv(tmp_path / "user_features_pure.csv", index=False)
    videos = pd.DataFrame({"video_id": range(20, 30), "tag": [*"vwxyz", None, "1,2", *"vwx"]})
    videos.to_csv(tmp_path / "video_features_basic_pure.csv", index=False)
    statistics = pd.DataFrame({"video_id": range(20, 30), "show_cnt": range(10), "play_cnt": range(10)})
    statistics.to_csv(tmp_path / "video_features_statistic_pure.csv", index=False)
    return tmp_path


def module(folder: Path, **options: object) -> KuaiRand:
    defaults = {"categorical_columns": FIELDS, "validation_from": 20220417, "test_from": 20220418, "seed": 0}
    return KuaiRand(str(folder), **{**defaults, **options})  # type: ignore[arg-type]


def expected(folder: Path) -> pd.DataFrame:
    logs = pd.concat([log(150, 8, 0), log(150, 14, 1)]).sort_values("time_ms", kind="stable")
    for name, key in (("user_features", "user_id"), ("video_features_basic", "video_id")):
        logs = logs.merge(pd.read_csv(folder / f"{name}_pure.csv"), on=key, how="left")
    return logs


@pytest.mark.filterwarnings("ignore:.*long_view without click")
def test_rows_equal_those_of_a_plain_merge(folder: Path) -> None:
    data, table = module(folder), expected(folder)
    data.setup()
    test, rows = table[table["date"] >= 20220418], data.rows["test"]
    assert rows.label[:, 0].tolist() == test["is_click"].tolist()
    assert rows.label[:, 1].tolist() == (test["is_click"] * test["long_view"]).tolist()
    fields = data.category_mapper.state_dict()["fields"]
    assert list(fields) == FIELDS
    assert set(fields["onehot_feat4"]) == {"1", "2", "3"}
    for place, field in enumerate(FIELDS):
        texts = test[field].astype(object).astype(str).str.removesuffix(".0")
        assert rows.categorical[:, place].tolist() == [fields[field].get(text, 0) for text in texts]
    train = table[table["date"] < 20220417]
    for place, name in enumerate(["duration_ms", "register_days"]):
        scaled = ((test[name] - train[name].mean()) / train[name].std(ddof=0)).fillna(0)
        np.testing.assert_allclose(rows.numerical[:, place], scaled, rtol=1e-4, atol=1e-5)
    decoded = data.decode(rows)
    assert decoded["user"].tolist() == test["user_id"].tolist()
    assert decoded["item"].tolist() == test["video_id"].tolist()


def test_long_views_without_click_are_counted(folder: Path) -> None:
    table = expected(folder)
    broken = int(((table["long_view"] == 1) & (table["is_click"] == 0)).sum())
    with pytest.warns(UserWarning, match=f"{broken} of the 300 rows of .* have long_view without click: they count as"):
        module(folder).setup()


@pytest.mark.filterwarnings("ignore:.*long_view without click")
def test_session_is_a_user_or_a_user_s_day(folder: Path) -> None:
    by_user, by_day = module(folder), module(folder, session="user_day")
    table = expected(folder)
    train = table[table["date"] < 20220417]
    assert len(by_user._rows("train").session.unique()) == train["user_id"].nunique()
    assert len(by_day._rows("train").session.unique()) == len(train[["user_id", "date"]].drop_duplicates())
    test = table[table["date"] >= 20220418]
    names = (test["user_id"].astype(str) + "/" + test["date"].astype(str)).tolist()
    assert by_day.decode(by_day.rows["test"])["session"].tolist() == names


@pytest.mark.filterwarnings("ignore:.*long_view without click")
def test_video_statistics_come_only_on_request(folder: Path) -> None:
    assert module(folder).feature_names[-2:] == ("duration_ms", "register_days")
    assert module(folder, video_statistics=True).feature_names[-2:] == ("show_cnt", "play_cnt")


def test_missing_tables_and_columns_are_named(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"has no column 'tagg'.*in log_standard.*Did you mean 'tag'\?"):
        module(folder, categorical_columns=["user_id", "tagg"]).setup()
    (folder / "user_features_pure.csv").unlink()
    with pytest.raises(FileNotFoundError, match=r"holds no user_features\*\.csv"):
        module(folder).setup()


def test_key_that_occurs_twice_is_refused(folder: Path) -> None:
    path = folder / "video_features_basic_pure.csv"
    path.write_text(path.read_text() + "25,z\n")
    with pytest.raises(ValueError, match="more than one row with video_id 25"):
        module(folder).setup()


@pytest.mark.filterwarnings("ignore:.*long_view without click")
def test_real_counts_are_those_published(real_data: Path) -> None:
    data = KuaiRand(str(real_data / "kuairand-pure"), seed=0)
    assert len(data.field_sizes) == 16
    assert data.num_numerical == 2
    sizes = {name: len(rows.row) for name, rows in data.rows.items()}
    assert sizes == {"train": 131_474, "validation": 35_807, "test": 55_588}
    assert sum(sizes.values()) == 222_869
    clicks = sum(float(rows.label[:, 0].sum()) for rows in data.rows.values())
    views = sum(float(rows.label[:, 1].sum()) for rows in data.rows.values())
    assert clicks / 222_869 == pytest.approx(0.45, abs=0.01)
    assert views / clicks == pytest.approx(0.70, abs=0.01)
