"""Conversion of a file's cells to ids, numbers, labels and times, with errors for those that cannot be used."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import compute
from pytorch_lightning.utilities import rank_zero_warn

from datamodules.tables.columns import Columns, TablePart, refuse_cells
from datamodules.tables.ids import encoded, fractional_number, has_text_form, is_text
from datamodules.tables.times import as_times

_EMPTY = "Fill the cell or remove the row"
_NO_NUMBER = "Correct the cell, or list the column under the categorical ones"
_LABELS = "Labels are 0 or 1: correct the cells or remove the rows"
_RATINGS = "Ratings are finite numbers: correct the cells or remove the rows"
_TRUTH = {"true": 1, "false": 0}

#: Columns of Arrow by their names, all of [n] cells.
ArrowColumns = dict[str, pa.ChunkedArray]


def usable_cells(cells: ArrowColumns, part: TablePart, columns: Columns) -> ArrowColumns:
    """Return the columns of a file as they are used: texts as codes, floats, times; ``cells`` is emptied.

    Raises:
        ValueError: If a cell cannot be used.
    """
    result = {}
    for name in columns.texts:
        result[name] = _texts(cells.pop(name), part, name, is_key=name in columns.keys)
    for name in columns.numbers:
        result[name] = _numbers(cells.pop(name), part, name)
    for name in columns.labels:
        result[name] = _labels(cells.pop(name), part, name, columns.hints)
    for name in columns.ratings:
        result[name] = _ratings(cells.pop(name), part, name, columns.hints)
    for name in columns.times:
        filled = _without_nan(cells.pop(name))
        refuse_cells(compute.is_null(filled), part, name, "no time", _EMPTY)
        result[name] = as_times(filled, part, name)
    return result


def _texts(column: pa.ChunkedArray, part: TablePart, name: str, *, is_key: bool) -> pa.ChunkedArray:
    texts = _encoded(column, part, name)
    if is_key:
        refuse_cells(compute.is_null(texts), part, name, "empty", _EMPTY)
    if texts.num_chunks:
        distinct = texts.chunks[0].dictionary
        fraction = fractional_number(distinct)
        if fraction is not None:
            raise ValueError(f"{part.path}: {fraction_refused(name, fraction)}")
        _warn_of_blanks(distinct, part, name)
    return texts


def _encoded(column: pa.ChunkedArray, part: TablePart, name: str) -> pa.ChunkedArray:
    single = "give one text or number a cell"
    if not has_text_form(column.type):
        raise ValueError(f"{part.path}: the cells of column '{name}' are {column.type}; {single}")
    try:
        return encoded(column)
    except pa.ArrowNotImplementedError as error:
        raise ValueError(f"{part.path}: the cells of column '{name}' are {column.type}; {single}") from error
    except pa.ArrowInvalid as error:
        raise ValueError(
            f"{part.path}: the cells of column '{name}' are {column.type}, and not all of it is UTF-8 text; {single}"
        ) from error


def _warn_of_blanks(texts: pa.Array, part: TablePart, name: str) -> None:
    """Warn of distinct texts [n] that differ by the blanks around them alone."""
    trimmed = compute.utf8_trim_whitespace(texts)
    padded = compute.not_equal(trimmed, texts)
    if compute.any(padded).as_py():
        twice = compute.and_(padded, compute.is_in(trimmed, texts))
        if compute.any(twice).as_py():
            place = compute.index(twice, pa.scalar(value=True)).as_py()
            rank_zero_warn(
                f"{part.path}: column '{name}' holds {str(texts[place])!r} and {str(trimmed[place])!r}, which are two: "
                "blanks are part of a text. Remove them if they are one"
            )


def fraction_refused(name: str, number: str) -> str:
    """Return why numbers with a fraction are no ids and no categories, and what to do."""
    return (
        f"column '{name}' holds the category {number}: numbers with a fraction are measurements, and equal ones are "
        "seldom written equally. List the column under the numerical columns, or write ids and groups of values as "
        "text or integers"
    )


def _numbers(column: pa.ChunkedArray, part: TablePart, name: str) -> pa.ChunkedArray:
    floats = _floats(column, pa.float32(), part, name)
    wrong = compute.and_not(compute.is_null(floats), compute.is_null(column))
    refuse_cells(wrong, part, name, "no number", _NO_NUMBER)
    infinite = compute.is_inf(floats)
    refuse_cells(infinite, part, name, "infinite as float32", "Give a finite number or nothing")
    return floats


def _labels(column: pa.ChunkedArray, part: TablePart, name: str, hints: Mapping[str, str]) -> pa.ChunkedArray:
    floats = _floats(column, pa.float64(), part, name)
    known = compute.or_(compute.equal(floats, 0.0), compute.equal(floats, 1.0))
    wrong = compute.invert(compute.fill_null(known, fill_value=False))
    refuse_cells(wrong, part, name, "neither 0 nor 1", _with_hint(_LABELS, name, hints))
    return floats.cast(pa.float32())


def _ratings(column: pa.ChunkedArray, part: TablePart, name: str, hints: Mapping[str, str]) -> pa.ChunkedArray:
    floats = _without_nan(_floats(column, pa.float64(), part, name))
    wrong = compute.invert(compute.fill_null(compute.is_finite(floats), fill_value=False))
    what = "no finite number" if compute.any(compute.is_inf(floats)).as_py() else "no number"
    refuse_cells(wrong, part, name, what, _with_hint(_RATINGS, name, hints))
    return floats


def _floats(column: pa.ChunkedArray, kind: pa.DataType, part: TablePart, name: str) -> pa.ChunkedArray:
    """Return cells as floating-point numbers; what is none is missing."""
    if is_text(column.type):
        return pa.chunked_array([_numbers_of_words(column.to_pandas(), kind)])
    if pa.types.is_dictionary(column.type):
        return _floats(column.cast(column.type.value_type), kind, part, name)
    if not _is_numeric(column.type):
        raise ValueError(f"{part.path}: the cells of column '{name}' are {column.type}; give one number a cell")
    # Decimals know no other way than through double precision.
    return column.cast(pa.float64(), safe=False).cast(kind, safe=False)


def _numbers_of_words(words: pd.Series, kind: pa.DataType) -> pa.Array:
    folded = words.str.strip().str.lower()
    truth = folded.map(_TRUTH)
    numbers = pd.to_numeric(words.where(truth.isna(), truth), errors="coerce").to_numpy(dtype=np.float64)
    said_nan = folded.eq("nan").to_numpy(dtype=bool, na_value=False)
    return pa.array(numbers, mask=np.isnan(numbers) & ~said_nan).cast(kind, safe=False)


def _is_numeric(kind: pa.DataType) -> bool:
    tests: list[Any] = [pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal]
    return any(test(kind) for test in [*tests, pa.types.is_boolean, pa.types.is_null])


def _without_nan(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if not pa.types.is_floating(column.type):
        return column
    return compute.if_else(compute.is_nan(column), pa.scalar(None, column.type), column)


def _with_hint(remedy: str, name: str, hints: Mapping[str, str]) -> str:
    return f"{remedy}. {hints[name]}" if name in hints else remedy
