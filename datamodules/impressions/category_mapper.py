"""Vocabularies of categorical fields: the index of every category."""

import json
import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor

from datamodules.tables import missing_file
from datamodules.tables.categories import as_categories, codes_of
from datamodules.tables.vocabulary import UNKNOWN
from lightning_modules.utilities.files import replace_file

# Looked up field by field and turned into rows block by block, which then stay in the processor's cache.
_BLOCK_ROWS = 1 << 14


class CategoryMapper:
    """Gives the categories of every field the indices 1, 2, ...; 0 stands for missing ones and all others.

    Args:
        fields: For every field, in the order of the columns of an encoded table, the index of each category as text.

    Raises:
        ValueError: If an index is no integer above 0.
    """

    def __init__(self, fields: Mapping[str, Mapping[str, int]]) -> None:
        for field, indices in fields.items():
            for category, index in indices.items():
                if type(index) is not int or index < 1:
                    raise ValueError(
                        f"category '{category}' of field '{field}' has the index {index!r}; give 1, 2, ..."
                    )
        self._fields = {field: dict(indices) for field, indices in fields.items()}

    @classmethod
    def fit(
        cls,
        table: pd.DataFrame,
        fields: Sequence[str],
        rows: np.ndarray | None = None,
        *,
        tail_shares: Mapping[str, float] | None = None,
    ) -> "CategoryMapper":
        """Number the categories of some rows, which ought to be the training rows, by falling frequency.

        Where a field has a tail share s, only the most frequent categories, until they are 1 - s of the field's filled
        cells, keep an index of their own; all others share one, so that a model learns what rare categories have in
        common. Equally frequent categories are ordered by their text.

        Args:
            table: Has a column for every field.
            fields: The columns to number.
            rows: Numbers of the rows to count, [n]; None counts all.
            tail_shares: Tail share of each field that has one, in [0, 1).

        Raises:
            ValueError: If a tail share lies outside [0, 1) or names no field, or a field holds fractional numbers.
        """
        shares = dict(tail_shares or {})
        for field, share in shares.items():
            if field not in fields or not 0 <= share < 1:
                raise ValueError(
                    f"tail share {share} of field '{field}': shares lie in [0, 1), and the fields are "
                    f"{', '.join(fields)}. Correct tail_shares"
                )
        return cls({field: _number(table[field], rows, shares.get(field, 0.0)) for field in fields})

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the fields."""
        return tuple(self._fields)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of indices of each field, that of unknown categories included."""
        return tuple(max(indices.values(), default=0) + 1 for indices in self._fields.values())

    def encode(self, table: pd.DataFrame, rows: np.ndarray | None = None) -> Tensor:
        """Return the indices of some rows (None: all) of a table, int64 [n, fields].

        Raises:
            ValueError: If a field holds fractional numbers.
        """
        return self.encode_parts(table, {"": np.arange(len(table)) if rows is None else rows})[""]

    def encode_parts(self, table: pd.DataFrame, parts: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
        """Return the indices of several parts of a table, given by the numbers of their rows: as ``encode`` of each."""
        columns = [as_categories(table[field]) for field in self._fields]
        lookups = [_lookup(column, self._fields[str(column.name)]) for column in columns]
        codes = [codes_of(column) for column in columns]
        return {name: torch.from_numpy(_gather(lookups, codes, rows)) for name, rows in parts.items()}

    def state_dict(self) -> dict[str, Any]:
        """Return the mapper as plain data that JSON can hold."""
        return {"fields": {field: dict(indices) for field, indices in self._fields.items()}}

    def save(self, path: str | Path) -> None:
        """Write the mapper to a JSON file; its folder is created."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.state_dict(), ensure_ascii=False, indent=1)
        replace_file(target, lambda temporary: temporary.write_text(text, encoding="utf-8"))

    @classmethod
    def load(cls, path: str | Path) -> "CategoryMapper":
        """Read a mapper that ``save`` wrote.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it holds something else.
        """
        source = Path(path)
        if not source.is_file():
            raise missing_file(source)
        try:
            return cls(_fields(json.loads(source.read_text(encoding="utf-8"))))
        except ValueError as error:
            raise ValueError(
                f"{source} holds no category mapper ({error}); let CategoryMapper.save write it"
            ) from error


def _fields(state: Any) -> dict[str, dict[str, int]]:
    fields = state.get("fields") if isinstance(state, dict) else None
    if not isinstance(fields, dict) or not all(isinstance(indices, dict) for indices in fields.values()):
        raise ValueError("it lacks the entry 'fields' with the indices of every field's categories")
    return fields


def _number(column: pd.Series, rows: np.ndarray | None, tail_share: float) -> dict[str, int]:
    column = as_categories(column)
    codes = codes_of(column) if rows is None else codes_of(column)[rows]
    # The code -1 of a missing cell is counted in front and left out.
    counts = np.bincount(codes.astype(np.int64) + 1, minlength=len(column.cat.categories) + 1)[1:]
    texts = column.cat.categories.to_numpy(dtype=object)
    seen = np.flatnonzero(counts)
    if not len(seen):
        rank_zero_warn(
            f"column '{column.name}' has no filled cell among the training rows: all rows have the index 0 there. "
            "Leave the column out, or look why it is empty"
        )
        return {}
    return _by_frequency(texts[seen], counts[seen], tail_share)


def _by_frequency(texts: np.ndarray, counts: np.ndarray, tail_share: float) -> dict[str, int]:
    """Return the index of every text, by falling count and then by the text; those of the tail share the last."""
    order = np.argsort(texts, kind="stable")
    order = order[np.argsort(-counts[order], kind="stable")]
    before = np.cumsum(counts[order]) - counts[order]
    # The share as it is written: in floating point, 1 - 0.7 is above 0.3.
    apart = (1 - Fraction(str(tail_share))) * int(counts.sum())
    head = int((before < math.ceil(apart)).sum())
    indices = np.minimum(np.arange(len(order)), head) + 1
    return dict(zip(texts[order].tolist(), indices.tolist(), strict=True))


def _gather(lookups: Sequence[np.ndarray], codes: Sequence[np.ndarray], rows: np.ndarray) -> np.ndarray:
    result = np.empty((len(rows), len(codes)), dtype=np.int64)
    by_field = np.empty((len(codes), _BLOCK_ROWS), dtype=np.int64)
    for start in range(0, len(rows), _BLOCK_ROWS):
        block = rows[start : start + _BLOCK_ROWS]
        for lookup, column, indices in zip(lookups, codes, by_field[:, : len(block)], strict=True):
            # The code -1 of a missing cell takes the last place.
            lookup.take(column.take(block), mode="wrap", out=indices)
        result[start : start + len(block)] = by_field[:, : len(block)].T
    return result


def _lookup(column: pd.Series, indices: Mapping[str, int]) -> np.ndarray:
    known = [indices.get(text, UNKNOWN) for text in column.cat.categories.to_numpy(dtype=object)]
    return np.array([*known, UNKNOWN], dtype=np.int64)
