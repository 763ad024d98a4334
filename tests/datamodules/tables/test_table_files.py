from pathlib import Path

import pytest

from datamodules.tables import find_tables


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
    with pytest.raises(FileNotFoundError, match=r"holds 00\.csv, .*11\.csv and 3 more"):
        find_tables(tmp_path / "data" / "set")
