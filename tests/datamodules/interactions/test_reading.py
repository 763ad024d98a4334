from pathlib import Path

import pandas as pd
import pytest

from datamodules.interactions.reading import exact_integer_ids, read_interactions

COLUMNS = {"user": "uid", "item": "iid", "label": "label"}
RATINGS = {"user": "uid", "item": "iid", "rating": "stars"}


def write(folder: Path, text: str, name: str = "table.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def refusal(path: Path, columns: dict[str, str] = COLUMNS) -> str:
    with pytest.raises(ValueError) as refused:  # noqa: PT011
        read_interactions(path, columns, threshold=3)
    message = str(refused.value)
    assert str(path) in message
    return message


@pytest.mark.parametrize("name", ["uid", "iid"])
def test_one_column_for_users_and_items_is_refused(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, "uid,iid,label\n1,1,1\n1,2,0\n")
    said = refusal(path, COLUMNS | {"user": name, "item": name})
    assert f"user_column and item_column both name the column '{name}'" in said


@pytest.mark.parametrize("separator", ["\t", ",", ";", "::"])
def test_separator_is_taken_from_the_first_line(tmp_path: Path, separator: str) -> None:
    lines = [["uid", "other", "iid", "label"], ["a", "x", "007", "1"], ["b", "y", "7", "0"]]
    path = write(tmp_path, "\n".join(separator.join(line) for line in lines) + "\n")
    for option in (separator, None):
        table = read_interactions(path, COLUMNS, threshold=3, separator=option)
        assert table.to_dict("list") == {"user": ["a", "b"], "item": ["007", "7"], "label": [1, 0]}


def test_file_without_header(tmp_path: Path) -> None:
    path = write(tmp_path, "1::10::5::99\n2::20::3::98\n")
    columns = {"user": "u", "item": "i", "rating": "r"}
    table = read_interactions(path, columns, threshold=3, header=["u", "i", "r", "t"])
    assert table.to_dict("list") == {"user": ["1", "2"], "item": ["10", "20"], "label": [1, 0]}


def test_parquet_gives_what_csv_gives(tmp_path: Path) -> None:
    frame = pd.DataFrame({"uid": [3, 4], "iid": ["x", "y"], "label": [True, False]})
    frame.to_csv(tmp_path / "table.csv", index=False)
    frame.to_parquet(tmp_path / "table.parquet")
    tables = [read_interactions(tmp_path / f"table.{kind}", COLUMNS, threshold=3) for kind in ("csv", "parquet")]
    for table in tables:
        assert table.to_dict("list") == {"user": ["3", "4"], "item": ["x", "y"], "label": [1.0, 0.0]}


def test_rating_above_the_threshold_is_a_positive(tmp_path: Path) -> None:
    path = write(tmp_path, "uid,iid,stars\n1,1,3\n1,2,3.5\n1,3,5\n")
    assert read_interactions(path, RATINGS, threshold=3).label.tolist() == [0, 1, 1]


def test_times_may_be_numbers_or_iso_dates(tmp_path: Path) -> None:
    columns = COLUMNS | {"time": "when"}
    numbers = write(tmp_path, "uid,iid,label,when\n1,1,1,20\n1,2,0,3\n", "numbers.csv")
    dates = write(tmp_path, "uid,iid,label,when\n1,1,1,2022-10-01 10:00:00\n1,2,0,2022-09-30\n", "dates.csv")
    for path in (numbers, dates):
        assert read_interactions(path, columns, threshold=3).sort_values("time")["item"].tolist() == ["2", "1"]
    message = refusal(write(tmp_path, "uid,iid,label,when\n1,1,1,yesterday\n"), columns)
    assert "line 2: column 'when' is 'yesterday'" in message


def test_missing_file_names_what_is_there(tmp_path: Path) -> None:
    write(tmp_path, "x", "other.csv")
    with pytest.raises(FileNotFoundError, match=r"there is no .*table\.csv; .* holds other\.csv"):
        read_interactions(tmp_path / "table.csv", COLUMNS, threshold=3)


def test_missing_column_names_the_columns_the_option_and_a_suggestion(tmp_path: Path) -> None:
    message = refusal(write(tmp_path, "uid,item_iid,label\n1,1,1\n"))
    assert "no column 'iid'" in message
    assert "'uid', 'item_iid', 'label'" in message
    assert "Did you mean 'item_iid'?" in message
    assert "Set item_column" in message
    assert "Did you mean 'UID'?" in refusal(write(tmp_path, "UID,iid,label\n1,1,1\n"))
    assert "rating_column" in refusal(write(tmp_path, "uid,iid,stars\n1,1,4\n"))


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize(
    ("columns", "values", "expected"),
    [
        (COLUMNS, [0, 1, 2], "column 'label' is '2'"),
        (COLUMNS, ["0", "1", "yes"], "column 'label' is 'yes'"),
        (COLUMNS, [0.0, 1.0, 0.5], "column 'label' is '0.5'"),
        (RATINGS, ["5", "4", "good"], "column 'stars' is 'good'"),
        (RATINGS, ["5", "4", "inf"], "column 'stars' is 'inf'"),
    ],
)
def test_unusable_label_or_rating_names_value_and_line(
    tmp_path: Path, kind: str, columns: dict[str, str], values: list[object], expected: str
) -> None:
    frame = pd.DataFrame({"uid": [1, 2, 3], "iid": [1, 2, 3], list(columns.values())[2]: values})
    path = tmp_path / f"table.{kind}"
    frame.to_csv(path, index=False) if kind == "csv" else frame.to_parquet(path)
    message = refusal(path, columns)
    assert expected in message
    assert ("line 4:" if kind == "csv" else "row 3:") in message


@pytest.mark.parametrize(("row", "column"), [(",1,1", "uid"), ("1,,1", "iid"), ("1,1,", "label")])
def test_empty_cell_names_column_and_line(tmp_path: Path, row: str, column: str) -> None:
    message = refusal(write(tmp_path, f"uid,iid,label\n1,1,1\n{row}\n1,2,1\n"))
    assert f"line 3: column '{column}' is empty (1 such rows)" in message


def test_blank_lines_are_no_rows(tmp_path: Path) -> None:
    assert len(read_interactions(write(tmp_path, "uid,iid,label\n1,1,1\n\n2,1,0\n"), COLUMNS, threshold=3)) == 2
    assert len(read_interactions(write(tmp_path, "uid,iid,label\n1,1,1\n\n\n"), COLUMNS, threshold=3)) == 1


@pytest.mark.parametrize("text", ["uid,iid,label\n", "uid,iid,label\n\n"])
def test_table_without_rows_is_refused(tmp_path: Path, text: str) -> None:
    assert "no rows" in refusal(write(tmp_path, text))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "is empty"),
        (b"uid,iid,label\n\xff\xfe,1,1\n", "line 2 is not UTF-8"),
        (b"PAR1 no parquet", "cannot be read as Parquet"),
    ],
)
def test_unreadable_file_is_named(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / ("table.parquet" if content.startswith(b"PAR1") else "table.csv")
    path.write_bytes(content)
    assert expected in refusal(path)


def test_ids_become_integers_only_where_nothing_is_lost() -> None:
    exact = pd.DataFrame({"user": ["1", "20"], "item": ["7", "8"]}, dtype="category")
    padded = pd.DataFrame({"user": ["3", "-4"], "item": ["7", "007"]}, dtype="category")
    first, second = exact_integer_ids([exact, padded])
    assert first.user.tolist() + second.user.tolist() == [1, 20, 3, -4]
    assert first["item"].tolist() + second["item"].tolist() == ["7", "8", "7", "007"]
