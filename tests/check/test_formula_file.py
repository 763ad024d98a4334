import csv
from pathlib import Path

import pandas as pd
import pytest

from lightning_modules.check import read_formulas
from lightning_modules.losses import Formula


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def parsed(*texts: str) -> list[Formula]:
    return [Formula.parse(text) for text in texts]


def test_the_table_of_a_study_without_its_hand_made_losses(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {
            "rank": [1, None, 2],
            "formula": ["max(pred, label)", "BCE", "pred - label"],
            "kind": ["candidate", "reference", "candidate"],
        }
    )
    table.to_csv(tmp_path / "formulas.csv", index=False)
    file = read_formulas(tmp_path / "formulas.csv")
    assert file.formulas == parsed("max(pred, label)", "pred - label")
    assert file.problems == []


@pytest.mark.parametrize("name", ["formulas.tsv", "formulas.csv", "formulas"])
def test_tabs_and_a_byte_order_mark(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, name, "\ufeffFormula\tNote\nmax(pred, label)\tfirst\n\npred\tsecond\n")
    assert read_formulas(path).formulas == parsed("max(pred, label)", "pred")


def test_plain_text_with_comments_and_repetitions(tmp_path: Path) -> None:
    path = written(tmp_path, "mine.txt", "# mine\n\nmax(pred, label)\n  pred\nmax( Pred, Label )\n")
    file = read_formulas(str(path))
    assert file.formulas == parsed("max(pred, label)", "pred")
    assert file.problems == []


def test_bad_lines_are_named_and_the_rest_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, "mine.txt", "pred\n# fine\nlogg(pred)\npred +\nlabel\n")
    file = read_formulas(path)
    assert file.formulas == parsed("pred", "label")
    assert [problem.split(": ")[0] for problem in file.problems] == [f"{path}, line 3", f"{path}, line 4"]
    assert "did you mean log?" in file.problems[0]


def test_bad_rows_of_a_table_are_named(tmp_path: Path) -> None:
    path = written(
        tmp_path, "a.csv", 'reward,formula\n1,pred\n2,max(pred, label)\n3\n4,"pred\n+ label"\n5,logg(pred)\n6,\n'
    )
    file = read_formulas(path)
    assert file.formulas == parsed("pred", "pred + label")
    lines = [problem.split(": ")[0].removeprefix(f"{path}, ") for problem in file.problems]
    assert lines == ["line 3", "line 4", "line 7", "line 8"]
    assert "double quotes" in file.problems[0]
    assert "no cell" in file.problems[1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no formula"),
        ("# nothing\n", "holds no formula"),
        ("formula\n", "holds no formula"),
        ("logg(pred)\n", r"first problem is in .*line 1.*unknown name 'logg'"),
    ],
)
def test_a_file_without_formulas_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_formulas(written(tmp_path, "mine.txt", text))


def test_a_table_without_the_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no column 'formula' but loss, reward"):
        read_formulas(written(tmp_path, "mine.csv", "loss,reward\npred,1\n"))


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_bytes(b"formula\n\xff\xfe\n")
    with pytest.raises(ValueError, match=r"no UTF-8 text \(byte 9\)"):
        read_formulas(tmp_path / "mine.csv")


@pytest.mark.parametrize("name", ["absent.csv", "."])
def test_what_is_no_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileNotFoundError, match="is no file; name a CSV or TSV file"):
        read_formulas(tmp_path / name)


def test_long_cells_lose_their_row_and_not_the_file(tmp_path: Path) -> None:
    limit = csv.field_size_limit()
    long = f"formula,note\n{'pred + ' * 30_000}pred,1\npred,2\nlabel - pred,{'x' * 150_000}\n"
    file = read_formulas(written(tmp_path, "mine.csv", long))
    assert file.formulas == parsed("pred", "label - pred")
    (problem,) = file.problems
    assert "line 2: formula has 210004 characters" in problem
    assert csv.field_size_limit() == limit


def test_equal_rows_are_parsed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parse, texts = Formula.parse, []
    monkeypatch.setattr(Formula, "parse", lambda text: texts.append(text) or parse(text))
    path = written(tmp_path, "mine.txt", "pred - label\nlogg(pred)\npred\n" * 1000)
    file = read_formulas(path)
    assert file.formulas == [parse("pred - label"), parse("pred")]
    assert len(file.problems) == 1000
    assert texts == ["pred - label", "logg(pred)", "pred"]


def test_many_problems_are_counted_and_few_told(tmp_path: Path) -> None:
    file = read_formulas(written(tmp_path, "mine.txt", "pred\n" + "x\n" * 5000))
    assert len(file.problems) == 5000
    assert len(file.remarks) == 21
    assert file.remarks[-1] == "left out: 4,980 more lines"


def test_a_table_of_many_columns_has_a_short_message(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"c0, c1, .* and 49,980 more") as refused:
        read_formulas(written(tmp_path, "mine.csv", ",".join(f"c{number}" for number in range(50_000))))
    assert len(str(refused.value)) < 500
