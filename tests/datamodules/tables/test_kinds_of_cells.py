"""Both data modules make of every cell what docs/cells.md says, from CSV and from Parquet."""

import csv
import io
import re
import tempfile
from collections.abc import Iterator
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules import ImpressionsDataModule, InteractionsDataModule

PAGE = Path(__file__).parents[3] / "docs" / "cells.md"
ROLES = ("id", "category", "number", "label", "rating", "time")
SPLITS = ("train", "validation", "test")
REFUSED = "refused"


def documented() -> Iterator[tuple[str, str, str]]:
    """Yield cell, role and outcome of every entry of the page's table."""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" |")] if line.startswith("|") else []
        if len(cells) == 2 + len(ROLES) and not cells[0].startswith(("kind", "---")):
            for role, outcome in zip(ROLES, cells[2:], strict=True):
                yield unquoted(cells[1]), role, unquoted(outcome)


def unquoted(entry: str) -> str:
    (row,) = csv.reader([entry.strip("`")]) if entry else [[""]]
    return row[0]


def write(folder: Path, columns: dict[str, list[str]], kind: str) -> Path:
    path = folder / f"table.{kind}"
    if kind == "csv":
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([list(columns), *zip(*columns.values(), strict=True)])
        path.write_text(text.getvalue(), encoding="utf-8")
    else:
        pd.DataFrame({name: [cell or None for cell in cells] for name, cells in columns.items()}).to_parquet(path)
    return path


def interactions(path: Path, **options: Any) -> pd.DataFrame:
    """Return the ids, labels and times that InteractionsDataModule makes of a table, in its order."""
    data = InteractionsDataModule(str(path), user_column="id", item_column="item", **options)
    return pd.concat(data.read_splits()).sort_index()


def impressions(path: Path, **options: Any) -> pd.DataFrame:
    """Return what ImpressionsDataModule makes of a table, in its order."""
    tasks = options.pop("tasks", ["one"])
    data = ImpressionsDataModule(
        str(path),
        **({"categorical_columns": ["item"]} | options),
        user_column="id",
        tasks=tasks,
        split_column="part",
    )
    return data.read_impressions().table


def filled(cells: list[str], role: str) -> dict[str, list[str]]:
    """Return a table in which one column has the cells, and the others are as they should be."""
    size = len(cells)
    good = {"id": ["u"] * size, "item": ["i"] * size, "one": ["1"] * size, "part": [SPLITS[n % 3] for n in range(size)]}
    return good | {role: cells}


def outcomes(cells: list[str], role: str, kind: str) -> list[list[Any]]:
    """Return what every data module that knows a role makes of a column of cells; the error where it refuses."""
    readers: dict[str, list[Any]] = {
        "id": [lambda path: interactions(path, label_column="one")["user"], lambda path: impressions(path)["id"]],
        "category": [lambda path: impressions(path, categorical_columns=["category"])["category"]],
        "number": [lambda path: impressions(path, numerical_columns=["number"])["number"]],
        "label": [
            lambda path: interactions(path, label_column="label")["label"],
            lambda path: impressions(path, tasks=["label"])["label"],
        ],
        "rating": [lambda path: interactions(path, rating_column="rating", rating_threshold=3.0)["label"]],
        "time": [
            lambda path: interactions(path, label_column="one", time_column="time")["time"],
            lambda path: impressions(path, time_column="time")["time"],
        ],
    }
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), filled(cells, role), kind)
        return [column_or_error(reader, path) for reader in readers[role]]


def column_or_error(reader: Any, path: Path) -> list[Any]:
    try:
        return list(reader(path).astype(object))
    except ValueError as error:
        # An error that names no file is none of the reader's.
        return [REFUSED, str(error)] if str(path) in str(error) else ["failed", str(error)]


@pytest.mark.parametrize(("entry", "kind"), list(product(documented(), ["csv", "parquet"])))
def test_every_entry_of_the_page_is_true_of_both_data_modules(entry: tuple[str, str, str], kind: str) -> None:
    cell, role, outcome = entry
    for found in outcomes([cell] * 30, role, kind):
        if outcome == REFUSED:
            assert found[0] == REFUSED
        elif outcome == "missing":
            assert pd.isna(pd.Series(found)).all()
        elif role in {"id", "category"}:
            assert {str(each) for each in found} == {outcome}
        elif role == "rating":
            assert set(found) == {float(float(outcome) > 3)}
        elif role == "time" and "-" in outcome:
            assert {str(each) for each in found} == {outcome}
        else:
            assert set(found) == {np.float32(outcome) if role == "number" else float(outcome)}


def test_the_page_has_all_roles_and_enough_kinds() -> None:
    entries = list(documented())
    assert {role for _, role, _ in entries} == set(ROLES)
    assert len(entries) >= 20 * len(ROLES)


WORDS = st.text(st.sampled_from("ab0- ,;\"'é"), min_size=1, max_size=4).filter(str.strip)
INTEGERS = st.integers(-(10**25), 10**25).map(str)
FLOATS = st.integers(-(2**53), 2**53).map(lambda number: repr(float(number)))
IDS = st.lists(
    st.one_of(WORDS, INTEGERS, FLOATS, st.sampled_from(["007", "1", "1.0", "2.5"])), min_size=30, max_size=40
)


def exact(text: str) -> str:
    """Return an id as it is known, by exact decimals."""
    as_written_by_programs = re.fullmatch(r"[+-]?\d+(\.\d*)?([eE]\+?\d+)?", text)
    if not as_written_by_programs or ("." not in text and "e+" not in text.lower()):
        return text
    number = Decimal(text)
    return str(int(number)) if number == int(number) else text


def is_number(text: str) -> bool:
    return re.fullmatch(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", text) is not None


@settings(deadline=None, max_examples=25)
@given(IDS)
def test_ids_are_exact(cells: list[str]) -> None:
    for kind in ("csv", "parquet"):
        for found in outcomes(cells, "id", kind):
            if all(map(is_number, cells)) and any(Decimal(cell) % 1 for cell in cells):
                assert found[0] == REFUSED
            else:
                assert [str(each) for each in found] == [exact(cell) for cell in cells]


LABELS = st.lists(st.sampled_from(["0", "1", "0.0", "1.0", "true", "FALSE", "1e0", " 1"]), min_size=30, max_size=40)
WRONG = st.sampled_from(["", "2", "0.5", "yes", "nan", "-1", "1.0000000001", "1,0"])


def label_of(cell: str) -> float:
    words = {"true": 1.0, "false": 0.0}
    return words[cell.lower()] if cell.lower() in words else float(cell)


@settings(deadline=None, max_examples=25)
@given(LABELS, st.one_of(st.none(), WRONG), st.integers(0, 29))
def test_labels_are_0_and_1_or_named_with_their_line(cells: list[str], wrong: str | None, row: int) -> None:
    if wrong is not None:
        cells = [*cells[:row], wrong, *cells[row + 1 :]]
    for kind in ("csv", "parquet"):
        for found in outcomes(cells, "label", kind):
            if wrong is None:
                assert found == [label_of(cell) for cell in cells]
            else:
                where = f"line {row + 2}:" if kind == "csv" else f"row {row + 1}:"
                said = f"column 'label' is '{wrong}'," if wrong else "column 'label' is empty"
                assert found[0] == REFUSED
                assert f"{where} {said}" in found[1]


TIMES = st.one_of(
    st.lists(st.integers(0, 2**53).map(str), min_size=30, max_size=40),
    st.lists(st.datetimes(pd.Timestamp("1980-01-01"), pd.Timestamp("2100-01-01")).map(str), min_size=30, max_size=40),
)


@settings(deadline=None, max_examples=25)
@given(TIMES, st.one_of(st.none(), st.sampled_from(["", "?", "12:30"])), st.integers(0, 29))
def test_times_keep_their_order_or_the_odd_one_is_named(cells: list[str], wrong: str | None, row: int) -> None:
    if wrong is not None:
        cells = [*cells[:row], wrong, *cells[row + 1 :]]
    for kind in ("csv", "parquet"):
        for found in outcomes(cells, "time", kind):
            if wrong is None:
                assert found == [int(cell) if cell.isdigit() else pd.Timestamp(cell) for cell in cells]
            else:
                where = f"line {row + 2}:" if kind == "csv" else f"row {row + 1}:"
                assert found[0] == REFUSED
                assert f"{where} column 'time' is {repr(wrong) if wrong else 'empty'}" in found[1]
