"""One text for one id, however it was written."""

from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.tables import Columns, read_columns
from datamodules.tables.ids import exact_integers, exact_texts

WRITTEN = [
    ("1", "1"),
    ("1.0", "1"),
    ("1.", "1"),
    ("-3.000", "-3"),
    ("-0.0", "0"),
    ("1e+11", "100000000000"),
    ("1.00000000003e+11", "100000000003"),
    ("1.00000000003E11", "100000000003"),
    ("1E+2", "100"),
    ("123456789012345678901234567890", "123456789012345678901234567890"),
    ("123456789012345678901234567890.0", "123456789012345678901234567890"),
    # These are no floats as programs write them.
    ("001", "001"),
    ("12e4", "12e4"),
    ("1.5e+0", "1.5e+0"),
    (" 1.0", " 1.0"),
    ("1.0.0", "1.0.0"),
    ("v1.0", "v1.0"),
    ("1,0", "1,0"),
]


@pytest.mark.parametrize(("written", "expected"), WRITTEN)
def test_whole_numbers_are_one_text(written: str, expected: str) -> None:
    assert exact_texts(pa.array([written])).to_pylist() == [expected]


@settings(deadline=None)
@given(st.lists(st.one_of(st.integers(-(2**53), 2**53).map(float), st.floats(allow_infinity=False)), min_size=1))
def test_floats_are_the_text_of_the_integer_or_keep_their_value(values: list[float]) -> None:
    for text, value in zip(exact_texts(pa.array(values)).to_pylist(), values, strict=True):
        if np.isnan(value):
            assert text is None
        elif abs(value) < 2**53 and value == int(value):
            assert text == str(int(value))
        else:
            assert float(text) == value


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pa.array([1, 2**63], pa.uint64()), ["1", "9223372036854775808"]),
        (pa.array([1.0, None, 4.0], pa.float32()), ["1", None, "4"]),
        (pa.array([1e11 + 3, 5e11]), ["100000000003", "500000000000"]),
        (pa.array([Decimal("7.00"), Decimal("8.00")]), ["7", "8"]),
        (pa.array([True, False]), ["true", "false"]),
        (pa.array(["x", None], pa.large_string()), ["x", None]),
        (pa.array([b"x", b"y"]), ["x", "y"]),
        (pa.array(["x", "y", "x"]).dictionary_encode(), ["x", "y", "x"]),
        (pa.array([4.0, 5.0, 4.0]).dictionary_encode(), ["4", "5", "4"]),
    ],
)
def test_ids_of_any_type_in_parquet_are_text(tmp_path: Path, values: pa.Array, expected: list[str | None]) -> None:
    path = tmp_path / "table.parquet"
    pq.write_table(pa.table({"id": values}), path)
    found = read_columns(path, Columns(categories=["id"]))["id"]
    assert found.astype(object).where(found.notna(), None).tolist() == expected


@pytest.mark.parametrize(
    "values",
    [
        pa.array([[1], [2]]),
        pa.array([{"a": 1}, {"a": 2}]),
        pa.array([[("a", 1)], []], pa.map_(pa.string(), pa.int64())),
        pa.array([b"\xff", b"\xfe"]),
    ],
)
@pytest.mark.parametrize("role", ["keys", "categories"])
def test_cells_that_are_no_single_text_or_number_are_refused(tmp_path: Path, values: pa.Array, role: str) -> None:
    path = tmp_path / "table.parquet"
    pq.write_table(pa.table({"id": values}), path)
    with pytest.raises(ValueError, match=r"table\.parquet: the cells of column 'id' are"):
        read_columns(path, Columns(**{role: ["id"]}))


def test_ids_written_in_two_ways_are_one(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("id\n1\n1.0\n1e+0\n2\n")
    table = read_columns(path, Columns(keys=["id"]))
    assert table["id"].tolist() == ["1", "1", "1", "2"]
    assert list(table["id"].cat.categories) == ["1", "2"]


@pytest.mark.parametrize("role", ["keys", "categories"])
def test_numbers_with_a_fraction_are_no_ids_where_all_are_numbers(tmp_path: Path, role: str) -> None:
    path = tmp_path / "table.csv"
    path.write_text("id\n1\n2.5\n")
    with pytest.raises(ValueError, match=r"table\.csv: column 'id' holds the category 2\.5"):
        read_columns(path, Columns(**{role: ["id"]}))
    path.write_text("id\n1\n2.5\nv3\n")
    assert read_columns(path, Columns(**{role: ["id"]}))["id"].tolist() == ["1", "2.5", "v3"]


def test_ids_that_differ_in_blanks_alone_are_warned_of(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("id,label\na ,1\nb,0\n c,1\n")
    assert read_columns(path, Columns(keys=["id"]))["id"].tolist() == ["a ", "b", " c"]
    path.write_text("id,label\na ,1\na,0\n c,1\n")
    with pytest.warns(UserWarning, match=r"table\.csv: column 'id' holds 'a ' and 'a', which are two"):
        read_columns(path, Columns(keys=["id"]))


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["7", "-3", "0"], [7, -3, 0]),
        (["7", "007"], None),
        (["7", "+3"], None),
        (["7", "-0"], None),
        (["9223372036854775807"], [2**63 - 1]),
        (["9223372036854775808"], None),
        (["7", "x"], None),
    ],
)
def test_integers_are_told_from_texts_that_would_lose(texts: list[str], expected: list[int] | None) -> None:
    found = exact_integers(pd.Index(texts))
    assert (None if found is None else found.tolist()) == expected
