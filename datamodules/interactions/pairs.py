"""Uniform negative sampling: one negative item a user, without loops and without rejection."""

import torch
from torch import Tensor

from datamodules.batches import Batch, PairBatch
from datamodules.implicit.user_items import UserItems, index_below
from datamodules.loader import BatchLoader, epoch_generator


def taken_items(rows: Batch, num_items: int) -> UserItems:
    """Return the items that every user has a row with label 1 for, numbered without the unknown item 0.

    Args:
        rows: Labelled rows of shape [n], with known items only.
        num_items: Number of item indices, the unknown item 0 included.
    """
    user, item = (column[rows.label > 0] for column in (rows.user, rows.item))
    return UserItems.of(user, item - 1, int(rows.user.max()) + 1, num_items - 1)


class DislikedItems:
    """The items of a user's rows with label 0, as often as they occur, but for those that the user took elsewhere.

    Args:
        rows: Labelled rows of shape [n], with known items only.
        taken: The items that users took, as :func:`taken_items` returns them.
    """

    def __init__(self, rows: Batch, taken: UserItems) -> None:
        user, item = (column[rows.label == 0] for column in (rows.user, rows.item))
        order = user.argsort(stable=True)
        user, item = user[order], item[order]
        # In a log of impressions an item is shown several times before it is chosen.
        is_disliked = ~taken.contains(user, item - 1)
        self.count = torch.bincount(user[is_disliked], minlength=taken.num_users)
        self._first = self.count.cumsum(0) - self.count
        # One more element lets the users without rows point behind the last one.
        self._item = torch.cat([item[is_disliked], item.new_zeros(1)])

    def draw(self, user: Tensor, uniform: Tensor) -> Tensor:
        """Return an item, int64 [n], for every user [n] from a number in [0, 1), float64 [n]; 0 for a count of 0."""
        return self._item[self._first[user] + index_below(self.count[user], uniform)]


class UntakenItems:
    """The known items that a user has no row with label 1 for.

    Args:
        taken: The items that users took, as :func:`taken_items` returns them.
    """

    def __init__(self, taken: UserItems) -> None:
        self._taken = taken
        self.count = taken.count_outside

    def draw(self, user: Tensor, uniform: Tensor) -> Tensor:
        """Return an item, int64 [n], for every user [n] from a number in [0, 1), float64 [n]; any for a count of 0."""
        return self._taken.draw_outside(user, uniform[:, None]).squeeze(1) + 1


# Stream 0 is that of the loader's order.
_NEGATIVE_STREAM = 1


class PairLoader(BatchLoader[PairBatch]):
    """Pairs every positive row with one negative item of its user, drawn anew in every epoch.

    The negative is drawn uniformly from the user's rows with label 0 whose item the user has no positive row for. For a
    user without such rows it is drawn uniformly from all known items that the user has no positive row for; positives
    of a user who has one for every item are left out. Pairs drawn anew: Rendle et al., "BPR: Bayesian Personalized
    Ranking from Implicit Feedback", UAI 2009, https://arxiv.org/abs/1205.2618.

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
        taken = taken_items(rows, num_items)
        self._disliked, self._untaken = DislikedItems(rows, taken), UntakenItems(taken)
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
                "pairs need rows with label 1, and items that the user has no such row for"
            )
        return PairBatch(user[kept], item[kept], item[kept])
