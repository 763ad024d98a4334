"""Records are those of the standard library's reader, with the lines on which they stand."""

import csv
import io
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.tables import Columns, read_columns
from datamodules.tables.records import Record, records

CELLS = st.text(st.sampled_from('ab",\n\r '), max_size=6)
ROWS = st.lists(st.lists(CELLS, min_size=2, max_size=3), min_size=1, max_size=6)


def all_records(text: str) -> list[Record]:
    return list(records(io.BytesIO(text.encode()), b","))


@settings(deadline=None, max_examples=200)
@given(ROWS)
def test_cells_and_lines_are_those_of_the_standard_library(rows: list[list[str]]) -> None:
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows(rows)
    found = all_records(text.getvalue())
    assert [[cell.text for cell in record.cells(b",")] for record in found] == rows
    lines = [1]
    for row in rows:
        lines.append(
            lines[-1] + 1 + sum(len(cell.replace("\r\n", "\n").replace("\r", "\n").split("\n")) - 1 for cell in row)
        )
    assert [record.line for record in found] == lines[:-1]


def test_quote_inside_a_cell_is_a_character_like_others() -> None:
    (record,) = all_records('5" disc,"a ""b""",c"d"e,"f"g\n')
    assert [cell.text for cell in record.cells(b",")] == ['5" disc', 'a "b"', 'c"d"e', "fg"]


def test_lines_of_cells_behind_one_that_spans_lines_are_counted() -> None:
    _, record = all_records('a,b,c\n\n1,"two\nlines",3\n')[0:2]
    assert [(cell.line, cell.breaks) for cell in record.cells(b",")] == [(3, 0), (3, 1), (4, 0)]


def test_open_quote_is_told() -> None:
    (record,) = all_records('a,"b\nc,d\n')
    assert [cell.closed for cell in record.cells(b",")] == [True, False]


@pytest.mark.parametrize("size", [1, 2, 5])
def test_blocks_may_end_anywhere(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    text = '\ufeffa,b\r\n"x\r\ny",1\rz,2\n'
    monkeypatch.setattr("datamodules.tables.records._BLOCK_BYTES", max(size, 3))
    found = all_records(text)
    assert [(record.line, [cell.text for cell in record.cells(b",")]) for record in found] == [
        (1, ["a", "b"]),
        (2, ["x\r\ny", "1"]),
        (4, ["z", "2"]),
    ]


REVIEWS = 'user,review,label\n1,"good\nvery good\nbuy",1\n\n3,ok,0\n5,bad,{}\n'


def test_review_that_is_not_read_may_span_lines_which_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text(REVIEWS.format(1))
    columns = Columns(keys=["user"], labels=["label"])
    assert read_columns(path, columns)["label"].tolist() == [1, 0, 1]
    path.write_text(REVIEWS.format(2))
    with pytest.raises(ValueError, match="line 7: column 'label' is '2'"):
        read_columns(path, columns)


def test_the_time_for_a_record_grows_with_its_cells() -> None:
    cells, begin = 100_000, time.process_time()
    (record,) = records(io.BytesIO(b",".join([b'"a\nb"', *[b"c"] * cells])), b",")
    lines = [cell.line for cell in record.cells(b",")]
    assert lines == [1] + [2] * cells
    # Counting the lines from the record's begin for every cell takes minutes.
    assert time.process_time() - begin < 20
