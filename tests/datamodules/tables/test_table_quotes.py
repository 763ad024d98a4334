"""Quotes that swallow rows are refused with their line, or warned of where they are in no column that is read."""

import gzip
from pathlib import Path

import pytest

from datamodules import InteractionsDataModule
from datamodules.impressions.retailrocket_events import read_properties
from datamodules.tables import Columns, read_columns

COLUMNS = Columns(keys=["user", "item"], labels=["label"])


def lines(count: int) -> list[str]:
    return [f"u{row % 5}\titem{row % 7}\t{row % 2}\ttitle" for row in range(count)]


def table(folder: Path, *strays: str) -> Path:
    path = folder / "table.tsv"
    between = [line for stray in strays for line in (stray, *lines(30))]
    path.write_text("\n".join(["user\titem\tlabel\ttitle", *lines(60), *between, ""]))
    return path


def refusal(path: Path) -> str:
    with pytest.raises(ValueError, match="table") as caught:
        read_columns(path, COLUMNS)
    return str(caught.value)


@pytest.mark.parametrize("is_compressed", [False, True])
def test_id_that_spans_lines_is_refused_with_its_line(tmp_path: Path, is_compressed: bool) -> None:
    path = table(tmp_path, 'u1\t"5 inch\t1\tx', 'u2\t"7 inch\t0\tx')
    if is_compressed:
        path.write_bytes(gzip.compress(path.read_bytes()))
    assert "line 62: a quote is opened here and closed 31 lines later, so that column 'item' is '5 inch" in refusal(
        path
    )


def test_category_that_spans_lines_is_refused(tmp_path: Path) -> None:
    path = table(tmp_path, 'u1\titem\t1\t"5 inch', 'u2\titem\t0\t"7 inch')
    with pytest.raises(ValueError, match="line 62: a quote is opened here and closed 31 lines later"):
        read_columns(path, Columns(keys=["user"], categories=["title"]))


def test_both_data_modules_refuse_it(tmp_path: Path) -> None:
    path = table(tmp_path, 'u1\t"5 inch\t1\tx', 'u2\t"7 inch\t0\tx')
    data = InteractionsDataModule(str(path), user_column="user", item_column="item")
    with pytest.raises(ValueError, match="line 62: a quote is opened here"):
        data.setup()


@pytest.mark.parametrize("stray", ['u1\t"5 inch\t1\tx', 'u1\titem\t1\t"5 inch', 'u1\titem\t"1\tx'])
def test_quote_that_is_never_closed_is_refused_wherever_it_is(tmp_path: Path, stray: str) -> None:
    assert "line 62: a quote is opened here and never closed" in refusal(table(tmp_path, stray))


def test_quote_that_swallows_lines_to_another_number_of_fields_is_refused(tmp_path: Path) -> None:
    path = table(tmp_path, 'u1\t"5 inch\t1\tx', 'u2\titem\t0\t"7 inch')
    assert "line 62: a quote is opened here and closed 31 lines later" in refusal(path)


def test_rows_that_a_column_swallows_which_is_not_read_are_warned_of(tmp_path: Path) -> None:
    path = table(tmp_path, 'u1\titem\t1\t"5 inch', 'u2\titem\t0\t"7 inch')
    with pytest.warns(UserWarning, match="line 62: a quote is opened here and closed 31 lines later, and the lines"):
        assert len(read_columns(path, COLUMNS)) == 60 + 1 + 30


def test_quoted_text_in_a_column_that_is_not_read_is_not_doubted(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    path = table(tmp_path, 'u1\titem\t1\t"good\nvery\tgood\nbuy"')
    assert len(read_columns(path, COLUMNS)) == 60 + 1 + 30
    assert not list(recwarn)


def test_quoted_cells_across_the_reader_s_blocks_are_whole(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    review = '"' + "\n".join(["very good"] * 40) + '"'
    path.write_text("user,item,review,label\n" + "".join(f"u{row},i,{review},{row % 2}\n" for row in range(30_000)))
    assert path.stat().st_size > 2 * (4 << 20)
    found = read_columns(path, COLUMNS)
    assert found["user"].tolist() == [f"u{row}" for row in range(30_000)]
    assert found["label"].tolist() == [row % 2 for row in range(30_000)]


def test_item_property_that_spans_lines_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text('timestamp,itemid,property,value\n1,2,color,"red\n2,3,color,"blue\n3,4,color,green\n')
    with pytest.raises(ValueError, match="line 2: a quote is opened here"):
        read_properties([path], ["color"])
