from pathlib import Path

import pandas as pd
import pytest

from datamodules.tables import Columns, column_names, read_columns

COLUMNS = Columns(keys=["user"], categories=["tab"], numbers=["price"], labels=["click"], times=["when"])
TEXT = "user,tab,other,price,click,when\n007,a,x,1.5,1,5\nbob,,x,,0,6\n007,b,x,-2,1,7\n"


def write(folder: Path, text: str, name: str = "table.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def refusal(path: Path, columns: Columns = COLUMNS) -> str:
    with pytest.raises(ValueError, match="table") as caught:
        read_columns(path, columns)
    return str(caught.value)


@pytest.mark.parametrize("separator", [",", "\t", ";", "::"])
def test_only_the_named_columns_are_read_in_small_types(tmp_path: Path, separator: str) -> None:
    table = read_columns(write(tmp_path, TEXT.replace(",", separator)), COLUMNS)
    assert list(table) == ["user", "tab", "price", "click", "when"]
    assert table["user"].tolist() == ["007", "bob", "007"]
    assert table["tab"].astype(object).fillna("-").tolist() == ["a", "-", "b"]
    assert table["price"].isna().tolist() == [False, True, False]
    assert table["when"].tolist() == [5, 6, 7]
    assert [str(table[name].dtype) for name in ("price", "click")] == ["float32", "float32"]
    assert table["tab"].array.codes.dtype.itemsize == 1


def test_parquet_says_the_same_as_csv(tmp_path: Path) -> None:
    frame = pd.DataFrame({"user": [3, 5, 3], "tab": ["a", None, "b"], "price": [1.5, None, -2.0], "click": [1, 0, 1]})
    frame["when"] = pd.to_datetime(["2022-04-25 10:00", "2022-04-25 11:30", "2022-05-01 00:00"])
    frame.to_csv(tmp_path / "table.csv", index=False)
    frame.to_parquet(tmp_path / "table.parquet")
    first, second = (read_columns(tmp_path / f"table.{kind}", COLUMNS) for kind in ("csv", "parquet"))
    for name in ("user", "tab"):
        assert first[name].astype(object).fillna("-").tolist() == second[name].astype(object).fillna("-").tolist()
    for name in ("price", "click"):
        pd.testing.assert_series_equal(first[name], second[name])
    assert (first["when"] == second["when"]).all()
    assert column_names(tmp_path / "table.csv") == column_names(tmp_path / "table.parquet")


def test_times_that_change_their_looks_are_still_read(tmp_path: Path) -> None:
    rows = "".join(f"u,a,1,0,{second}\n" for second in range(700_000))
    path = write(tmp_path, f"user,tab,price,click,when\n{rows}u,a,1,0,700000.5\n")
    assert path.stat().st_size > 8 << 20
    assert read_columns(path, COLUMNS)["when"].iloc[-1] == 700000.5


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("u,a,x,1,2,5", "line 3: column 'click' is '2', which is neither 0 nor 1 (1 such rows)"),
        ("u,a,x,1,yes,5", "line 3: column 'click' is 'yes', which is neither 0 nor 1"),
        ("u,a,x,1,,5", "line 3: column 'click' is empty"),
        ("u,a,x,cheap,1,5", "line 3: column 'price' is 'cheap', which is no number"),
        ("u,a,x,1e39,1,5", "line 3: column 'price' is '1e39', which is infinite"),
        (",a,x,1,1,5", "line 3: column 'user' is empty"),
        ("u,a,x,1,1,", "line 3: column 'when' is empty"),
        ("u,a,x,1,1,soon", "line 3: column 'when' is 'soon', which is no number, while other times are"),
        ("u,a,x,1,1", "line 3: Expected 6 columns, got 5: u,a,x,1,1. Give every line as many fields as the header"),
    ],
)
def test_unusable_cell_names_value_and_line(tmp_path: Path, row: str, expected: str) -> None:
    assert expected in refusal(write(tmp_path, f"user,tab,other,price,click,when\nu,a,x,1,0,4\n{row}\nu,a,x,1,0,9\n"))


def test_dates_are_read_as_iso_8601(tmp_path: Path) -> None:
    text = "user,tab,price,click,when\nu,a,1,0,2022-05-01T10:00:00+02:00\nu,a,1,1,2022-05-01T09:00:00Z\n"
    table = read_columns(write(tmp_path, text), COLUMNS)
    assert table["when"].is_monotonic_increasing
    message = refusal(write(tmp_path, text.replace("2022-05-01T09", "1 May 09")))
    assert "line 3: column 'when' is '1 May 09:00:00Z'" in message


def test_blank_lines_are_counted_in_line_numbers(tmp_path: Path) -> None:
    text = "user,tab,price,click,when\n\nu,a,1,0,4\n\n\nu,a,1,3,4\n"
    assert "line 6: column 'click' is '3'" in refusal(write(tmp_path, text))


def test_parquet_errors_name_the_row(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    pd.DataFrame({"user": ["u"] * 2, "tab": "a", "price": 1.0, "click": [1, 7], "when": 3}).to_parquet(path)
    assert "row 2: column 'click' is '7'" in refusal(path)
    pd.DataFrame({"user": ["u"] * 2, "tab": "a", "price": "x", "click": 1, "when": 3}).to_parquet(path)
    assert "row 1: column 'price' is 'x', which is no number (2 such rows)" in refusal(path)
    pd.DataFrame({"user": ["u"] * 2, "tab": "a", "price": 1.0, "click": ["1", "yes"], "when": 3}).to_parquet(path)
    assert "row 2: column 'click' is 'yes', which is neither 0 nor 1" in refusal(path)
    pd.DataFrame({"user": ["u"] * 2, "tab": [[1], [2]], "price": 1.0, "click": 1, "when": 3}).to_parquet(path)
    assert "the cells of column 'tab' are list<element: int64>" in refusal(path)


def test_empty_column_of_parquet_is_all_missing(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    pd.DataFrame({"user": ["u"] * 2, "tab": None, "price": None, "click": 1, "when": 3}).to_parquet(path)
    table = read_columns(path, COLUMNS)
    assert table["tab"].isna().all()
    assert table["price"].isna().all()


def test_whole_floats_of_parquet_are_integers_and_others_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    frame = pd.DataFrame({"user": ["u"] * 3, "tab": [4.0, None, 12.0], "price": 1.0, "click": 1, "when": 3})
    frame.to_parquet(path)
    assert read_columns(path, COLUMNS)["tab"].astype(object).fillna("-").tolist() == ["4", "-", "12"]
    frame.assign(tab=[1.0, 0.5, None]).to_parquet(path)
    assert "column 'tab' holds the category 0.5" in refusal(path)


def test_missing_column_is_named_with_a_suggestion(tmp_path: Path) -> None:
    message = refusal(write(tmp_path, TEXT.replace("price", "prices")))
    assert "no column 'price'" in message
    assert "Did you mean 'prices'?" in message
    assert "(separated by ',')" in message


def test_fractional_category_is_refused_naming_file_and_column(tmp_path: Path) -> None:
    path = write(tmp_path, "user,tab,price,click,when\nu,1,1,1,1\nu,0.25,1,1,1\n")
    message = refusal(path)
    assert str(path) in message
    assert "column 'tab' holds the category 0.25" in message


@pytest.mark.parametrize(
    ("content", "expected"), [("", "is empty"), ("\n\n", "is empty"), ("user,tab,price,click,when\n", "has no rows")]
)
def test_table_without_rows_is_refused(tmp_path: Path, content: str, expected: str) -> None:
    assert expected in refusal(write(tmp_path, content))


def test_column_that_occurs_twice_is_refused_where_it_is_read(tmp_path: Path) -> None:
    assert "has 2 columns 'tab'" in refusal(write(tmp_path, TEXT.replace("other", "tab")))
    assert len(read_columns(write(tmp_path, "user,x,x\na,1,2\n"), Columns(keys=["user"]))) == 1


@pytest.mark.parametrize("header", ["user,täb,price,click,when", "user,tab,price,click,when"])
def test_other_encodings_are_refused_by_line(tmp_path: Path, header: str) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(f"{header}\nu,a,1,1,1\nü,a,1,1,1\n".encode("latin-1"))
    assert f"line {1 if 'ä' in header else 3} is not UTF-8" in refusal(path)


@pytest.mark.parametrize("cell", ["UTF8", "invalid UTF8 data", "CSV conversion error to x: invalid UTF8"])
def test_a_cell_that_speaks_of_encodings_is_refused_as_others_are(tmp_path: Path, cell: str) -> None:
    message = refusal(write(tmp_path, f"user,tab,price,click,when\nu,a,1,1,1\nu,a,1,{cell},1\n"))
    assert f"line 3: column 'click' is '{cell}', which is neither 0 nor 1" in message


@pytest.mark.parametrize(("option", "separator"), [("::", "::"), ("\\t", "\t"), ("¦", "¦"), (" | ", " | ")])
def test_separator_may_have_several_bytes(tmp_path: Path, option: str, separator: str) -> None:
    path = write(tmp_path, TEXT.replace(",", separator).replace("bob", f'"b{separator}b"'))
    table = read_columns(path, COLUMNS, separator=option)
    assert table["user"].tolist() == ["007", f"b{separator}b", "007"]
    assert table["when"].tolist() == [5, 6, 7]


@pytest.mark.parametrize("separator", ["", "\n", '"'])
def test_separator_that_separates_nothing_is_refused(tmp_path: Path, separator: str) -> None:
    with pytest.raises(ValueError, match="cannot separate cells"):
        read_columns(write(tmp_path, TEXT), COLUMNS, separator=separator)


def test_wrong_separator_is_suspected_where_there_is_one_column(tmp_path: Path) -> None:
    message = refusal(write(tmp_path, TEXT.replace(",", "|")))
    assert "Only one column was found: name the separator" in message
    assert len(read_columns(tmp_path / "table.csv", COLUMNS, separator="|")) == 3


def test_missing_file_names_what_is_there(tmp_path: Path) -> None:
    write(tmp_path, TEXT, "other.csv")
    with pytest.raises(FileNotFoundError, match=r"holds other\.csv"):
        read_columns(tmp_path / "table.csv", COLUMNS)


def test_column_for_two_uses_is_refused(tmp_path: Path) -> None:
    assert "column 'click' is named for two uses" in _two_uses(write(tmp_path, TEXT))


def _two_uses(path: Path) -> str:
    with pytest.raises(ValueError, match="two uses") as caught:
        read_columns(path, Columns(categories=["click"], labels=["click"]))
    return str(caught.value)
