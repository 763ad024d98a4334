"""Uniform negative sampling: one negative item a user, without loops and without rejection."""

import torch
from torch import Tensor

from datamodules.batches import Batch, PairBatch
from datamodules.implicit.user_items import UserItems, index_below
from datamodules.loader import BatchLoader, epoch_generator


class DislikedItems:
    """The items of a user's rows with label 0, as often as they occur."""

    def __init__(self, rows: Batch) -> None:
        user, item = (column[rows.label == 0] for column in (rows.user, rows.item))
        self.count = torch.bincount(user, minlength=_num_users(rows))
        self._first = self.count.cumsum(0) - self.count
        # One more element lets the users without rows point behind the last one.
        self._item = torch.cat([item[user.argsort(stable=True)], item.new_zeros(1)])

    def draw(self, user: Tensor, uniform: Tensor) -> Tensor:
        """Return an item, int64 [n], for every user [n] from a number in [0, 1), float64 [n]; 0 for a count of 0."""
        return self._item[self._first[user] + index_below(self.count[user], uniform)]


class UntakenItems:
    """The known items that a user has no row with label 1 for."""

    def __init__(self, rows: Batch, num_items: int) -> None:
        user, item = (column[rows.label > 0] for column in (rows.user, rows.item))
        # Without the unknown item 0.
        self._taken = UserItems.of(user, item - 1, _num_users(rows), num_items - 1)
        self.count = self._taken.count_outside

    def draw(self, user: Tensor, uniform: Tensor) -> Tensor:
        """Return an item, int64 [n], for every user [n] from a number in [0, 1), float64 [n]; any for a count of 0."""
        return self._taken.draw_outside(user, uniform[:, None]).squeeze(1) + 1


def _num_users(rows: Batch) -> int:
    return int(rows.user.max()) + 1


# Stream 0 is that of the loader's order.
_NEGATIVE_STREAM = 1


class PairLoader(BatchLoader[PairBatch]):
    """Pairs every positive row with one negative item of its user, drawn anew in every epoch.

    The negative is drawn uniformly from the user's rows with label 0. For a user without such rows it is drawn
    uniformly from the known items that the user has no positive row for; positives of a user who has one for every
    item are left out. Pairs drawn anew: Rendle et al., "BPR: Bayesian Personalized Ranking from Implicit Feedback",
    UAI 2009, https://arxiv.org/abs/1205.2618.

    Args:
        rows: Labelled rows of shape [n], with known users and items only.
        batch_size: Pairs a batch and process.
        num_items: Number of item indices, the unknown item 0 included.
        seed: Seed of the negatives and of the order; every process must be given the same.
        shuffle: Whether every epoch has its own order.
        rank: Number of this process; taken from torch.distributed when a loop begins if not given.
        world_size: Number of processes; like ``rank``.

    Raises:
        ValueError: If no row can be paired, or as for ``BatchLoader``.
    """

    def __init__(
        self,
        rows: Batch,
        batch_size: int,
        *,
        num_items: int,
        seed: int,
        shuffle: bool = True,
        rank: int | None = None,
        world_size: int | None = None,
    ) -> None:
        self._pair_seed = seed
        self._disliked = DislikedItems(rows)
        self._untaken = UntakenItems(rows, num_items)
        positives = self._pairable(rows)
        self._without_dislikes = (self._disliked.count[positives.user] == 0).nonzero().squeeze(1)
        super().__init__(positives, batch_size, shuffle=shuffle, seed=seed, rank=rank, world_size=world_size)

    def epoch_rows(self) -> PairBatch:
        """Return the positive rows with the negatives of the current epoch."""
        user, positive_item, _ = self.rows
        generator = epoch_generator(self._pair_seed, self.epoch, _NEGATIVE_STREAM)
        uniform = torch.rand(len(user), generator=generator, dtype=torch.float64)
        negative_item = self._disliked.draw(user, uniform)
        rest = self._without_dislikes
        negative_item[rest] = self._untaken.draw(user[rest], uniform[rest])
        return PairBatch(user, positive_item, negative_item)

    def _pairable(self, rows: Batch) -> PairBatch:
        user, item = (column[rows.label > 0] for column in (rows.user, rows.item))
        kept = (self._disliked.count[user] > 0) | (self._untaken.count[user] > 0)
        if not kept.any():
            raise ValueError(
                f"none of the {len(user)} positive training rows can be paired with a negative item of its user: "
                "pairs need rows with label 1, and rows with label 0 or items that the user has no row for"
            )
        return PairBatch(user[kept], item[kept], item[kept])
