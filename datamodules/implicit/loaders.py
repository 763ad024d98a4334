"""Loaders of implicit feedback: chosen items to train on, users to rank the catalogue for."""

from collections.abc import Iterator
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from datamodules.batches import CatalogueBatch, FeedbackRows
from datamodules.implicit.user_items import UserItems
from datamodules.loader import BatchLoader, epoch_seed

# Stream 0 is that of the loader's order.
_NEGATIVE_STREAM = 1


class PositiveBatch(NamedTuple):
    """Rows that get their negatives once they are on the model's device.

    Attributes:
        user: Index of the user, int64, shape [n].
        item: Index of an item of the user, int64, shape [n].
        seed: Seed of the negatives.
    """

    user: Tensor
    item: Tensor
    seed: int


class PositiveLoader(BatchLoader[Any]):
    """Yields batches of shuffled rows with a seed for their negatives, which epoch, place and process decide.

    Args:
        rows: Users and their items.
        batch_size: Rows a batch and process.
        shuffle: Whether every epoch has its own order.
        seed: Seed of the orders and of the negatives; every process must be given the same.
        rank: Number of this process; taken from torch.distributed when a loop begins if not given.
        world_size: Number of processes; like ``rank``.
    """

    def __init__(
        self,
        rows: FeedbackRows,
        batch_size: int,
        *,
        seed: int,
        shuffle: bool = True,
        rank: int | None = None,
        world_size: int | None = None,
    ) -> None:
        super().__init__(rows, batch_size, shuffle=shuffle, seed=seed, rank=rank, world_size=world_size)

    def __iter__(self) -> Iterator[PositiveBatch]:
        rank = self._own_rank()
        for user, item in super().__iter__():
            seed = epoch_seed(cast(int, self.seed), self.epoch, _NEGATIVE_STREAM, rank, self._position)
            yield PositiveBatch(user, item, seed)


class _Users(NamedTuple):
    user: Tensor


class CatalogueLoader(BatchLoader[Any]):
    """Yields blocks of users with the items that are not to be recommended to them, and those that should be.

    Args:
        user: Indices of the users, int64 [n].
        batch_size: Users a block and process.
        seen: Items that are not to be recommended.
        relevant: Items that should be.
    """

    def __init__(self, user: Tensor, batch_size: int, *, seen: UserItems, relevant: UserItems) -> None:
        super().__init__(_Users(user), batch_size)
        self.seen = seen
        self.relevant = relevant

    def __iter__(self) -> Iterator[CatalogueBatch]:
        for (user,) in super().__iter__():
            seen, relevant = (torch.stack(each.pairs_of(user)) for each in (self.seen, self.relevant))
            yield CatalogueBatch(user, seen, relevant)
