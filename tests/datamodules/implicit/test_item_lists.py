import gzip
from pathlib import Path

import pytest

from datamodules.implicit.item_lists import read_item_lists


def pairs_of(path: Path) -> list[tuple[str, str]]:
    table = read_item_lists(path)
    return list(zip(table["user"].astype(str), table["item"].astype(str), strict=True))


@pytest.mark.parametrize(
    "text",
    [
        "7 12 5\n3 12\n",
        "7 12 5 \n3 12",
        "\n7\t12 5\n\n  \n3  12\n\n",
        "7 12 5\r\n3 12\r\n",
        "\ufeff7 12 5\n9\n3 12\n",
    ],
    ids=["plain", "blank at the end", "empty lines", "Windows", "user without items"],
)
def test_every_item_of_a_line_is_a_row_of_its_user(text: str, tmp_path: Path) -> None:
    path = tmp_path / "train.txt"
    path.write_bytes(text.encode())
    assert pairs_of(path) == [("7", "12"), ("7", "5"), ("3", "12")]


def test_ids_may_be_any_text_and_the_file_compressed(tmp_path: Path) -> None:
    path = tmp_path / "train.txt.gz"
    path.write_bytes(gzip.compress("Zoë 007 b-2\n".encode()))
    assert pairs_of(path) == [("Zoë", "007"), ("Zoë", "b-2")]


def test_a_user_with_two_lines_has_the_items_of_both_and_is_named(tmp_path: Path) -> None:
    path = tmp_path / "train.txt"
    path.write_text("7 12\n3 1\n\n7 5\n7 6\n")
    with pytest.warns(UserWarning, match=r"train.txt, line 4: user '7' has the line 1 already \(2 such lines\)"):
        assert pairs_of(path) == [("7", "12"), ("3", "1"), ("7", "5"), ("7", "6")]


@pytest.mark.parametrize("text", ["7,12,5\n3,12\n", "7\n3\n", "7\n\n"])
def test_a_file_without_an_item_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "train.txt"
    path.write_text(text)
    first = text.split("\n")[0]
    with pytest.raises(ValueError, match=f"train.txt has no line with an item: .* Its first line is '{first}'"):
        read_item_lists(path)


def test_the_line_that_is_no_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "train.txt"
    path.write_bytes(b"7 12\n3 \xff1\n")
    with pytest.raises(ValueError, match=r"train.txt, line 2 is not UTF-8"):
        read_item_lists(path)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_bytes(b"")
    with pytest.raises(ValueError, match=r"train.txt has no line with an item"):
        read_item_lists(tmp_path / "train.txt")
