"""Pairs of a positive and a negative item of the same user, with new negatives in every epoch."""

import torch

from datamodules.batches import Batch, PairBatch
from datamodules.loader import BatchLoader, epoch_generator
from datamodules.negatives import DislikedItems, UntakenItems

# The loader's own stream, 0, is the order of the rows.
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
