"""Divisions of the rows of implicit feedback, each user's apart or all by time."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from datamodules.batches import FeedbackRows
from datamodules.tables.splits import ratio_cuts

# One to learn from, one to validate on, one to test on.
_FEWEST = 3


def hold_out_of_each(rows: FeedbackRows, share: float, seed: int) -> tuple[FeedbackRows, FeedbackRows]:
    """Return the rows [n] without a random share of every user's, and that share, both in the order of the rows.

    Of a user's ``c`` rows ``max(int(share * c), 1)`` are taken, which is the rule of the splits published with SL@K
    (Yang et al., KDD 2025); a user with a single row keeps it.

    Args:
        rows: Users and their items.
        share: Share of the rows to hold out.
        seed: Seed of the choice.

    Raises:
        ValueError: If the share is not between 0 and 1, or every user has a single row.
    """
    if not 0 < share < 1:
        raise ValueError(f"a share of {share} of each user's rows cannot be held out; give one between 0 and 1")
    count = torch.bincount(rows.user)
    size = (count.double() * share).long().clamp(min=1)
    size[count < 2] = 0
    order = torch.randperm(len(rows.user), generator=torch.Generator().manual_seed(seed))
    is_held_out = _rank(rows.user, order) < size[rows.user]
    if not is_held_out.any():
        raise ValueError("no user has two training rows, so that none can be held out; give rows of users with more")
    kept, held_out = (FeedbackRows(*(column[part] for column in rows)) for part in (~is_held_out, is_held_out))
    return kept, held_out


def ratio_of_each(user: Tensor, ratios: Sequence[float], seed: int | None) -> Tensor:
    """Divide every user's rows by shares, at random or, without a seed, in their order.

    Args:
        user: User of every row, int64 [n].
        ratios: Shares of training, validation and test rows, rounded for each user.
        seed: Seed of a random division.

    Returns:
        0 for training, 1 for validation, 2 for test, int64 [n].

    Raises:
        ValueError: If the ratios are not three positive numbers that add up to 1.
    """
    ratio_cuts(ratios, 1)
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    order = torch.arange(len(user)) if generator is None else torch.randperm(len(user), generator=generator)
    count = torch.bincount(user)[user].double()
    ends = torch.stack([(count * bound).round() for bound in np.cumsum(ratios)[:2].tolist()])
    return (_rank(user, order) >= ends).sum(dim=0)


def last_of_each(user: Tensor) -> Tensor:
    """Return 2 for every user's last row, 1 for the one before it, and 0 for others and users with fewer than three.

    Args:
        user: User of every row in order of time, int64 [n].
    """
    count = torch.bincount(user)[user]
    from_end = count - 1 - _rank(user, torch.arange(len(user)))
    return torch.where(count >= _FEWEST, (2 - from_end).clamp(min=0), 0)


def by_time(size: int, ratios: Sequence[float]) -> Tensor:
    """Return 0 for the first rows, which are those of training, 1 for the next, and 2 for the last, int64 [size].

    Raises:
        ValueError: If the ratios are not three positive numbers that add up to 1.
    """
    cuts = torch.from_numpy(ratio_cuts(ratios, size))
    return torch.bucketize(torch.arange(size), cuts, right=True)


def _rank(user: Tensor, order: Tensor) -> Tensor:
    """Return the place of every row [n] among those of its user, if the rows are taken in an order [n]."""
    ordered = order[user[order].argsort(stable=True)]
    count = torch.bincount(user)
    first = (count.cumsum(0) - count)[user[ordered]]
    rank = torch.empty_like(user)
    rank[ordered] = torch.arange(len(user)) - first
    return rank
