"""Columns as categories: codes of distinct texts."""

from typing import Any

import numpy as np
import pandas as pd

_WHOLE_FLOAT = r"[+-]?\d+\.0*"


def as_categories(column: pd.Series) -> pd.Series:
    """Return a column as pandas categories that are text, with missing cells left missing.

    Whole numbers are written without a fraction (``4.0`` becomes ``4``): a column of integers with missing cells is
    written as floats by many programs.

    Raises:
        ValueError: If all categories are numbers and one has a fraction.
    """
    if not isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype("category")
    is_text = isinstance(column.cat.categories.dtype, pd.StringDtype)
    texts = pd.Series(column.cat.categories if is_text else column.cat.categories.astype(str))
    if is_text and not texts.str.contains(".", regex=False).any():
        return column
    fraction = fractional_category(texts)
    if fraction is not None:
        raise ValueError(
            f"column '{column.name}' holds the category {texts[fraction]}: numbers with a fraction are measurements, "
            "and equal ones are seldom written equally. List the column under the numerical columns, or write groups "
            "of values as text or integers"
        )
    return pd.Series(_without_fractions(codes_of(column), texts), index=column.index, name=column.name)


def _without_fractions(codes: np.ndarray, texts: pd.Series) -> pd.Categorical:
    """Return codes of texts as categories in which whole numbers have no fraction, ``4.0`` and ``4`` being one."""
    whole = texts.str.fullmatch(_WHOLE_FLOAT)
    if not whole.any():
        return pd.Categorical.from_codes(codes, pd.Index(texts))
    places, distinct = pd.factorize(texts.where(~whole, texts.str.split(".").str[0]))
    # The code -1 of a missing cell takes the last place.
    return pd.Categorical.from_codes(np.append(places, -1)[codes], pd.Index(distinct))


def fractional_category(categories: pd.Series) -> int | None:
    """Return the place of the first number with a fraction if all categories are numbers, else None."""
    if not categories.str.contains(".", regex=False).any():
        return None
    numbers = pd.to_numeric(categories, errors="coerce")
    if numbers.isna().any():
        return None
    fractional = (numbers != np.floor(numbers)).to_numpy()
    return int(fractional.argmax()) if fractional.any() else None


def codes_of(column: pd.Series) -> np.ndarray:
    """Return the codes of a column of categories, integers [n] without a copy; -1 is a missing cell."""
    array: Any = column.array
    codes: np.ndarray = array.codes
    return codes


def concatenate(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Return the rows of tables with the same columns one after another, with common categories."""
    if len(tables) == 1:
        return tables[0]
    return pd.DataFrame({name: _joined([table[name] for table in tables]) for name in tables[0].columns})


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


def _joined(columns: list[pd.Series]) -> Any:
    if isinstance(columns[0].dtype, pd.CategoricalDtype):
        return pd.api.types.union_categoricals(columns)
    return pd.concat(columns, ignore_index=True)
