"""The page on files names every file and column that there is, and none that there is not."""

import re
import sqlite3

import pandas as pd
import pytest

from tests.docs.pages import DOCS, Reader, blocks, checkout

PAGE = DOCS / "files_of_a_study.md"
SEARCH = """
python train.py search --model BiasedMF --model.embedding_dim 4 --data SyntheticInteractions \
    --data.num_interactions 2000 --root runs/study --rounds 1 --candidates 2 --warmup_updates 1 --references MSE \
    --alternate true --log_candidates true --trainer.max_epochs 1 --trainer.accelerator cpu
python train.py check runs/study
python train.py export runs/study --to python
"""


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    reader = Reader(checkout(tmp_path_factory.mktemp("files") / "checkout"))
    reader.commands(SEARCH)
    return reader


def section(heading: str) -> str:
    """Return the text below a heading, up to the next one."""
    return re.split(r"^#+ ", PAGE.read_text(encoding="utf-8").split(f" {heading}\n")[1], flags=re.MULTILINE)[0]


def first_cells(text: str) -> list[str]:
    """Return the names in the first column of a table."""
    rows = re.findall(r"^\| (`.*?) \|", text, flags=re.MULTILINE)
    return [name for row in rows for name in re.findall("`(.*?)`", row)]


def pattern(name: str) -> str:
    """Return what matches the files that a name stands for: one, those with anything for dots, or all of a folder."""
    return f"{re.escape(name)}.*" if name.endswith("/") else re.escape(name).replace(re.escape("..."), ".*")


def test_every_file_of_a_search_is_named(reader: Reader) -> None:
    root = reader.folder / "runs" / "study"
    files = [str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()]
    names = first_cells(section("A search"))
    unnamed = [file for file in files if not any(re.fullmatch(pattern(name), file) for name in names)]
    assert not unnamed
    absent = {name for name in names if not any(re.fullmatch(pattern(name), file) for file in files)}
    # The one is there while a search runs, the other is what an export to LaTeX writes.
    assert absent == {"writer.json", "loss_1.tex"}


@pytest.mark.parametrize("table", ["candidates", "children", "baseline_components"])
def test_every_column_of_the_ledger_is_explained(reader: Reader, table: str) -> None:
    connection = sqlite3.connect(reader.folder / "runs" / "study" / "ledger.sqlite")
    columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    assert first_cells(section(f"The table `{table}`")) == columns


def test_the_columns_of_formulas_csv_are_named(reader: Reader) -> None:
    columns = pd.read_csv(reader.folder / "runs" / "study" / "formulas.csv").columns
    sentence = re.search(r"`formulas.csv` has the columns (.*?)as explained", section("A search"), flags=re.DOTALL)
    assert sentence is not None
    assert re.findall("`(.*?)`", sentence[1]) == list(columns)


def test_the_columns_of_check_csv_are_named(reader: Reader) -> None:
    columns = pd.read_csv(reader.folder / "runs" / "study" / "check.csv").columns
    page = (DOCS / "algorithms" / "check.md").read_text(encoding="utf-8")
    named = {*re.findall("`(.*?)`", page)}
    ranged = {name for name in columns if name.startswith("least_at_")}
    assert {*columns} - named == ranged - {"least_at_0.1", "least_at_0.9"}


def test_the_ledger_is_read_as_the_page_says(reader: Reader) -> None:
    before = len(reader.output)
    for block in blocks(PAGE):
        reader.follow(block)
    assert re.search(r"[+-]0\.\d{4} .*pred", reader.output[before:])
