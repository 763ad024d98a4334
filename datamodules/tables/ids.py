"""Ids and categories as text: one text for one id, however a program wrote it."""

from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import compute

#: Texts with their codes, as ids and categories are held.
TEXTS = pa.dictionary(pa.int32(), pa.string())

_WHOLE = r"^[+-]?\d+\.0*$"
# With a point or a plus, as programs write floats; 12e4 may be a hexadecimal id.
_EXPONENT = r"^[+-]?\d+(\.\d*[eE]\+?|[eE]\+)\d{1,3}$"
_INTEGER = r"^(0|-?[1-9]\d{0,18})$"
_LARGEST_EXACT = 2.0**53

# Whatever is a whole number with a fraction or exponent, or a number with a fraction, has one of these.
_POINT_OR_EXPONENT = r"\.|[eE][+-]"


def is_text(kind: pa.DataType) -> bool:
    """Return whether a type of Arrow is one of text."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or str(kind) == "string_view")


def has_text_form(kind: pa.DataType) -> bool:
    """Return whether a type of Arrow is one that ids can have: text, numbers, truth values, times."""
    if pa.types.is_dictionary(kind):
        return has_text_form(kind.value_type)
    return not (pa.types.is_nested(kind) or isinstance(kind, pa.BaseExtensionType))


def encoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column [n] as codes of its distinct texts, in one chunk; missing cells stay missing.

    Raises:
        pyarrow.ArrowInvalid: If bytes are no UTF-8 text.
    """
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    chunks = column.unify_dictionaries().chunks
    if not chunks:
        return pa.chunked_array([], TEXTS)
    values = exact_texts(chunks[0].dictionary)
    distinct = values.dictionary_encode()
    codes = [chunk.indices for chunk in chunks]
    if len(distinct.dictionary) == len(values):
        return _single_chunk(codes, values)
    return _single_chunk([distinct.indices.take(each) for each in codes], distinct.dictionary)


def exact_texts(values: pa.Array) -> pa.Array:
    """Return ids [n] as text: whole numbers without a fraction or an exponent, nan as missing, others as they are."""
    if pa.types.is_floating(values.type):
        return _texts_of_floats(values.cast(pa.float64()) if pa.types.is_float16(values.type) else values)
    return _without_fractions(values.cast(pa.string()))


def are_exact(texts: pa.Array) -> bool:
    """Return whether texts [n] are ids as they are, none of them a number with a point or an exponent."""
    return not compute.any(compute.match_substring_regex(texts, _POINT_OR_EXPONENT)).as_py()


def fractional_number(texts: pa.Array) -> str | None:
    """Return the first number with a fraction if all texts [n] are numbers, else None."""
    if are_exact(texts):
        return None
    numbers = pd.to_numeric(texts.drop_null().to_pandas(), errors="coerce").to_numpy()
    if np.isnan(numbers).any():
        return None
    fractional = numbers != np.floor(numbers)
    return str(texts.drop_null()[int(fractional.argmax())]) if fractional.any() else None


def exact_integers(texts: Any) -> pd.Index | None:
    """Return ids [n] as int64 if every one is the decimal text of an integer (``7``, not ``007``), else None."""
    values = pa.array(texts, pa.string())
    if not compute.all(compute.match_substring_regex(values, _INTEGER)).as_py():
        return None
    try:
        return pd.Index(values.cast(pa.int64()).to_numpy(zero_copy_only=False))
    except pa.ArrowInvalid:
        return None


def _texts_of_floats(values: pa.Array) -> pa.Array:
    numbers = np.asarray(values.to_numpy(zero_copy_only=False), dtype=np.float64)
    whole = (np.abs(numbers) < _LARGEST_EXACT) & (numbers == np.floor(numbers))
    if whole.all():
        return pa.array(numbers.astype(np.int64)).cast(pa.string())
    missing = np.isnan(numbers)
    integers = pa.array(np.where(whole, numbers, 0).astype(np.int64), mask=~whole).cast(pa.string())
    others = _without_fractions(pa.array(values.cast(pa.string()), mask=None))
    return compute.if_else(pa.array(whole), integers, compute.if_else(pa.array(missing), None, others))


def _without_fractions(texts: pa.Array) -> pa.Array:
    if are_exact(texts):
        return texts
    if compute.any(compute.match_substring_regex(texts, _WHOLE)).as_py():
        whole = compute.match_substring_regex(texts, _WHOLE)
        integers = compute.replace_substring_regex(texts, r"\.0*$", "")
        texts = compute.if_else(whole, compute.replace_substring_regex(integers, r"^-0$", "0"), texts)
    exponent = compute.match_substring_regex(texts, _EXPONENT)
    if compute.any(exponent).as_py():
        written_out = [None if text is None else _written_out(text) for text in texts.filter(exponent).to_pylist()]
        texts = compute.replace_with_mask(texts, exponent, pa.array(written_out, pa.string()))
    return texts


def _written_out(text: str) -> str:
    number = Decimal(text)
    whole = number == number.to_integral_value()
    return format(number.to_integral_value(), "f") if whole else text


def _single_chunk(codes: list[pa.Array], texts: pa.Array) -> pa.ChunkedArray:
    # With a dictionary a chunk they would be unified once more by whoever needs one.
    joined = pa.concat_arrays([each.cast(pa.int32()) for each in codes])
    return pa.chunked_array([pa.DictionaryArray.from_arrays(joined, texts)], TEXTS)
