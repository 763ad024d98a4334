import os
from pathlib import Path

import pytest

from datamodules.tables import find_tables
from datamodules.tables.files import parts_of


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).touch()


def test_published_split_is_found(tmp_path: Path) -> None:
    touch(tmp_path, "a.train.csv", "a.test.csv", "a.validation.csv", "README", "more.csv")
    assert [path.name for path in find_tables(tmp_path)] == ["a.train.csv", "a.validation.csv", "a.test.csv"]


def test_single_table_is_found_in_its_folder_or_by_name(tmp_path: Path) -> None:
    touch(tmp_path, "ratings.parquet", "README")
    assert find_tables(tmp_path) == find_tables(tmp_path / "ratings.parquet") == (tmp_path / "ratings.parquet",)


@pytest.mark.parametrize(
    ("names", "error", "message"),
    [
        ((), FileNotFoundError, "holds no table .* but nothing"),
        ((".git",), FileNotFoundError, "holds no table .* but nothing"),
        (("notes.md",), FileNotFoundError, "holds no table .* but notes.md"),
        (
            ("a.train.csv", "a.test.csv"),
            FileNotFoundError,
            "there is no .*a.validation.csv; .* holds a.test.csv, a.train.csv",
        ),
        (("a.train.csv", "b.train.csv"), ValueError, "several data sets: a.train.csv, b.train.csv"),
        (("a.csv", "b.tsv"), ValueError, "several data sets: a.csv, b.tsv"),
        (
            ("test.tsv", "train.tsv", "items.csv"),
            ValueError,
            "holds test.tsv, train.tsv, the files of one split.* NAME.train.tsv, NAME.validation.tsv, NAME.test.tsv "
            "are all needed; .* --data ImplicitFeedback",
        ),
        (("Train.csv.gz", "valid.csv.gz"), ValueError, "the files of one split.* NAME.train.csv.gz, "),
    ],
)
def test_what_cannot_be_found_is_explained(
    tmp_path: Path, names: tuple[str, ...], error: type[Exception], message: str
) -> None:
    touch(tmp_path, *names)
    with pytest.raises(error, match=message):
        find_tables(tmp_path)


def test_missing_folder_names_the_nearest_one(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{number:02}.csv" for number in range(15)))
    with pytest.raises(FileNotFoundError, match=r"holds 00\.csv, .*11\.csv, and 3 more"):
        find_tables(tmp_path / "data" / "set")


@pytest.mark.parametrize("suffix", [".tsv", ".csv.gz", ".parquet"])
def test_published_split_may_have_another_suffix(tmp_path: Path, suffix: str) -> None:
    names = [f"a.{name}{suffix}" for name in ("train", "validation", "test")]
    touch(tmp_path, *names, "more.csv")
    assert [path.name for path in find_tables(tmp_path)] == names


def test_folder_of_parts_is_a_table_wherever_it_lies(tmp_path: Path) -> None:
    for name in ("a.train.csv", "a.validation.csv", "a.test.csv"):
        (tmp_path / "split" / name).mkdir(parents=True)
        touch(tmp_path / "split" / name, "part-00000.csv", "part-00001.csv", "_SUCCESS")
    assert [path.name for path in find_tables(tmp_path / "split")] == ["a.train.csv", "a.validation.csv", "a.test.csv"]
    whole = tmp_path / "split" / "a.train.csv"
    assert find_tables(whole) == (whole,)
    assert [path.name for path in parts_of(whole)] == ["part-00000.csv"]
    (tmp_path / "one" / "ratings").mkdir(parents=True)
    touch(tmp_path / "one" / "ratings", "part-0.parquet")
    assert find_tables(tmp_path / "one") == (tmp_path / "one" / "ratings",)


def test_pipes_are_no_tables(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(ValueError, match="is a device or a pipe"):
        find_tables(tmp_path / "pipe.csv")
