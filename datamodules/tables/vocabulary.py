"""Vocabularies: the indices of users or items, errors for missing ids, and warnings of unknown ones."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor

UNKNOWN = 0


class Vocabulary:
    """Gives ids, text or integers, the indices 1, 2, ...; index 0 stands for every id that is not among them.

    Args:
        ids: Distinct ids in the order of their indices.

    Raises:
        ValueError: If an id occurs twice.
    """

    def __init__(self, ids: Sequence[str] | Sequence[int] | pd.Index) -> None:
        self._ids = pd.Index(ids)
        if not self._ids.is_unique:
            twice = self._ids[self._ids.duplicated()][0]
            raise ValueError(f"the id '{twice}' occurs twice in a vocabulary; its ids must be distinct")
        self._id_by_index: np.ndarray = np.concatenate([[None], self._ids.astype(object)])

    @classmethod
    def fit(cls, ids: pd.Series) -> "Vocabulary":
        """Return the sorted vocabulary of the ids that occur in a column, which ought to hold training rows alone.

        Raises:
            ValueError: If an id is missing.
        """
        missing = int(ids.isna().sum())
        if missing:
            raise ValueError(f"{missing:,} of {len(ids):,} ids are missing, and would be one; leave them out")
        return cls(pd.Index(_distinct(ids)).sort_values())

    @property
    def ids(self) -> pd.Index:
        """The ids in the order of their indices."""
        return self._ids

    def __len__(self) -> int:
        return len(self._ids) + 1

    def encode(self, ids: pd.Series) -> Tensor:
        """Return the index of every id, int64 [n]; ``UNKNOWN`` for ids outside the vocabulary."""
        if isinstance(ids.dtype, pd.CategoricalDtype):
            # Looked up once an id, and not once a row; the code -1 of a missing one takes the last place.
            places = self._ids.get_indexer(ids.cat.categories)
            return torch.from_numpy(np.append(places, -1)[ids.cat.codes.to_numpy()].astype(np.int64) + 1)
        return torch.from_numpy(self._ids.get_indexer(pd.Index(ids)).astype(np.int64) + 1)

    def decode(self, indices: Tensor) -> np.ndarray:
        """Return the id of every index [n] as an array of objects; None for ``UNKNOWN``."""
        ids: np.ndarray = self._id_by_index[indices.cpu().numpy()]
        return ids


def _distinct(ids: pd.Series) -> pd.Index:
    if isinstance(ids.dtype, pd.CategoricalDtype):
        return ids.cat.categories[np.unique(ids.cat.codes.to_numpy())]
    return pd.Index(ids.unique())


def refuse_missing(tables: Mapping[str, pd.DataFrame], columns: Sequence[str], source: object) -> None:
    """Refuse tables with a missing cell, which those that a data module makes itself may have.

    Args:
        tables: The table of every split.
        columns: The columns to look at.
        source: What to call the data set in messages.

    Raises:
        ValueError: If a cell is missing; names the split and the column.
    """
    for split, table in tables.items():
        for name in columns:
            missing = int(table[name].isna().sum())
            if missing:
                raise ValueError(
                    f"column '{name}' is missing in {missing:,} of the {len(table):,} {split} rows of {source}; give "
                    f"each its {name}, or leave the rows out"
                )


def count_unknown(indices: Tensor) -> int:
    """Return how many of the indices [n] are ``UNKNOWN``."""
    return int((indices == UNKNOWN).sum())


def warn_of_unknown(split: str, unknown: Mapping[str, int], size: int, source: object) -> None:
    """Warn of columns in which training knows no row of a held-out split.

    Args:
        split: The held-out split.
        unknown: For every column how many of the rows training does not know.
        size: The number of rows.
        source: What to call the data set in messages.
    """
    for name, count in unknown.items():
        if count == size:
            rank_zero_warn(
                f"training knows no {name} of the {size} {split} rows of {source}: the figures are those of unknown "
                "ones. Look whether the tables write their ids in different ways, or split the rows otherwise"
            )
