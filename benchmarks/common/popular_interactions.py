"""Synthetic interactions of the size and the popularity of MovieLens, whole or a sample of them."""

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from datamodules import InteractionsDataModule, SyntheticInteractions
from datamodules.batches import Batch

#: MovieLens 10M: users, items and ratings.
USERS, ITEMS, ROWS = 69_878, 10_677, 10_000_054
# Log-normal with these means the ratio of mean to median that it has: 143 to 69 ratings a user, 937 to 135 an item.
_USER_SPREAD, _ITEM_SPREAD = 1.2, 2.0
# A few draws more than are missing, since some of them repeat a pair.
_SURPLUS = 1.3
_FEW = 1000

#: What a sample is drawn from: single rows, or users with all their rows.
Sampling = Literal["rows", "users"]


class PopularInteractions(SyntheticInteractions):
    """Planted preferences, of users and items as unequally frequent as those of MovieLens 10M.

    Their expected numbers of rows are log-normal; which pairs occur does not depend on the preferences.
    """

    def _pairs(self, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        num_users, num_items = self._size
        of_users = _cumulated(generator.lognormal(0.0, _USER_SPREAD, num_users))
        of_items = _cumulated(generator.lognormal(0.0, _ITEM_SPREAD, num_items))
        cells = np.empty(0, np.int64)
        while (missing := self.num_interactions - len(cells)) > 0:
            count = round(_SURPLUS * missing)
            users = np.searchsorted(of_users, generator.random(count))
            items = np.searchsorted(of_items, generator.random(count))
            cells = np.unique(np.concatenate([cells, users * num_items + items]))
        return np.divmod(generator.permutation(cells)[: self.num_interactions], num_items)


class GivenInteractions(InteractionsDataModule):
    """Training rows that are given as tensors; a few of them stand for validation and test.

    Args:
        rows: Indices of users and items from 1, and labels.
        batch_size: Training rows a batch.
        seed: Seed of the training order.
    """

    def __init__(self, rows: Batch, *, batch_size: int, seed: int) -> None:
        super().__init__("given rows", batch_size=batch_size, seed=seed)
        few = Batch(*(column[:_FEW] for column in rows))
        self.rows = {"train": rows, "validation": few, "test": few}
        self._size = int(rows.user.max()) + 1, int(rows.item.max()) + 1

    @property
    def num_users(self) -> int:
        """Number of user indices, that of unknown users included."""
        return self._size[0]

    @property
    def num_items(self) -> int:
        """Number of item indices, that of unknown items included."""
        return self._size[1]


def sampled(rows: Batch, share: float, sampling: Sampling, seed: int) -> Batch:
    """Return a random sample of rows in their order, with the users and items that occur in it numbered anew from 1."""
    generator = torch.Generator().manual_seed(seed)
    if share < 1:
        column = torch.arange(len(rows.user)) if sampling == "rows" else _numbered(rows.user) - 1
        # As many rows or users as the share says, not as many as chance lets through.
        places = torch.randperm(int(column.max()) + 1, generator=generator)
        kept = places[column] < share * len(places)
        rows = Batch(*(each[kept] for each in rows))
    return Batch(_numbered(rows.user), _numbered(rows.item), rows.label)


def _numbered(column: torch.Tensor) -> torch.Tensor:
    return 1 + torch.unique(column, return_inverse=True)[1]


def _cumulated(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    return weights.cumsum() / weights.sum()
