"""Arrow columns as pandas ones, without holding both at once."""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

_ARROW_TEXT = pd.StringDtype("pyarrow")


def to_frame(columns: dict[str, pa.ChunkedArray]) -> pd.DataFrame:
    """Return a pandas table with dictionaries as categories; ``columns`` is emptied, so that memory holds them once."""
    result = pd.DataFrame({name: _converted(columns.pop(name)) for name in list(columns)}, copy=False)
    pa.default_memory_pool().release_unused()
    return result


def _converted(column: pa.ChunkedArray) -> Any:
    if not pa.types.is_dictionary(column.type):
        return column.to_pandas(date_as_object=False)
    return as_categorical(column)


def as_categorical(column: pa.ChunkedArray) -> pd.Categorical:
    """Return a column of dictionaries, whose values are texts, as pandas categories."""
    chunks = column.unify_dictionaries().chunks
    codes = [chunk.indices.fill_null(-1).to_numpy(zero_copy_only=False) for chunk in chunks]
    # The texts stay in Arrow's memory: as Python objects they would be most of a table with many ids.
    texts = pd.array(chunks[0].dictionary.cast(pa.string()), dtype=_ARROW_TEXT) if chunks else []
    return pd.Categorical.from_codes(np.concatenate(codes) if codes else [], pd.Index(texts))
