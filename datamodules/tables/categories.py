"""Columns as categories: codes of distinct texts."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from datamodules.tables.cells import fraction_refused
from datamodules.tables.ids import are_exact, encoded, fractional_number
from datamodules.tables.times import joined_times

_ARROW_TEXT = pd.StringDtype("pyarrow")


def as_categories(column: pd.Series) -> pd.Series:
    """Return a column as pandas categories that are text, with missing cells left missing.

    Whole numbers are written without a fraction (``4.0`` becomes ``4``): a column of integers with missing cells is
    written as floats by many programs.

    Raises:
        ValueError: If all categories are numbers and one has a fraction.
    """
    if not isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype("category")
    if isinstance(column.cat.categories.dtype, pd.StringDtype) and are_exact(pa.array(column.cat.categories)):
        return column
    texts = encoded(pa.chunked_array([_as_arrow(column)]))
    fraction = fractional_number(texts.chunks[0].dictionary)
    if fraction is not None:
        raise ValueError(fraction_refused(str(column.name), fraction))
    return pd.Series(as_categorical(texts), index=column.index, name=column.name)


def as_categorical(column: pa.ChunkedArray) -> pd.Categorical:
    """Return a column of dictionaries, whose values are texts, as pandas categories."""
    chunks = column.unify_dictionaries().chunks
    codes = [chunk.indices.fill_null(-1).to_numpy(zero_copy_only=False) for chunk in chunks]
    # The texts stay in Arrow's memory: as Python objects they would be most of a table with many ids.
    texts = pd.array(chunks[0].dictionary.cast(pa.string()), dtype=_ARROW_TEXT) if chunks else []
    return pd.Categorical.from_codes(np.concatenate(codes) if codes else [], pd.Index(texts))


def codes_of(column: pd.Series) -> np.ndarray:
    """Return the codes of a column of categories, integers [n] without a copy; -1 is a missing cell."""
    array: Any = column.array
    codes: np.ndarray = array.codes
    return codes


def concatenate(tables: list[pd.DataFrame], sources: Sequence[object]) -> pd.DataFrame:
    """Return the rows of tables with the same columns one after another, with common categories.

    Args:
        tables: The tables.
        sources: What to call each in messages.

    Raises:
        ValueError: If a column holds numbers in one table and dates in another, or dates with and without a zone.
    """
    if len(tables) == 1:
        return tables[0]
    return pd.DataFrame({name: _joined([table[name] for table in tables], sources) for name in tables[0].columns})


def attach(table: pd.DataFrame, features: pd.DataFrame, key: str, source: object) -> pd.DataFrame:
    """Add the columns of a table with one row a key to all rows that have the key; other rows miss them.

    Args:
        table: Rows with the column ``key``, of categories.
        features: One row for each value of ``key``, of categories as well.
        key: The column that both tables have.
        source: What to call the table of features in messages.

    Raises:
        ValueError: If a key occurs twice among the features.
    """
    keys = pd.Index(features[key].astype(object))
    if not keys.is_unique:
        raise ValueError(f"{source} has more than one row with {key} {keys[keys.duplicated()][0]}; keep one of them")
    of_category = keys.get_indexer(table[key].cat.categories.astype(object))
    places = np.append(of_category, -1)[codes_of(table[key])]
    added: dict[Any, Any] = {
        name: column.array.take(places, allow_fill=True) for name, column in features.items() if name != key
    }
    return table.assign(**added)


def _as_arrow(column: pd.Series) -> pa.Array:
    codes = codes_of(column)
    return pa.DictionaryArray.from_arrays(pa.array(codes, mask=codes < 0), pa.array(column.cat.categories))


def _joined(columns: list[pd.Series], sources: Sequence[object]) -> Any:
    if isinstance(columns[0].dtype, pd.CategoricalDtype):
        return pd.api.types.union_categoricals(columns)
    return joined_times(columns, sources)
