"""The base of losses that renew every user's quantile from the scores at the beginning of epochs."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lightning_modules.losses.listwise_loss import Scorer
from lightning_modules.losses.quantile_loss import QuantileLoss

#: Scores that are looked at at once: 64 MiB in single precision.
_SCORES_AT_ONCE = 2**24


class UserBlock(NamedTuple):
    """Users whose scores are looked at at once.

    Attributes:
        users: How many there are.
        rows: How many training rows they have together.
        most: How many rows the one with most of them has.
    """

    users: int
    rows: int
    most: int


class RenewedQuantileLoss(QuantileLoss):
    """A loss whose quantiles are renewed for all users at once at the beginning of an epoch, the first included.

    Args:
        k: Length of the lists of recommendations that are trained for, at least 1.
        renewal: Epochs between renewals of the quantiles, at least 1.
        samples: Items drawn with replacement for each user's quantile, at least ``k``; all items are taken where there
            are no more.

    Raises:
        ValueError: If one of them is less.
    """

    _user: Tensor
    _item: Tensor
    _place: Tensor

    def __init__(self, k: int, renewal: int, samples: int) -> None:
        super().__init__(k)
        if renewal < 1:
            raise ValueError(f"renewal is a number of epochs and must be at least 1, got {renewal}")
        if samples < k:
            raise ValueError(f"the quantile of the top k={k} needs samples of at least as many items, got {samples}")
        self.renewal = renewal
        self.samples = samples
        self._renewed: int | None = None
        self._blocks: list[UserBlock] = []
        for name in ("_user", "_item", "_place"):
            self.register_buffer(name, torch.zeros(0, dtype=torch.int64), persistent=False)

    def prepare(self, user: Tensor, item: Tensor, num_users: int, num_items: int) -> None:
        """Keep the training rows by user, in blocks of users whose scores are looked at at once."""
        super().prepare(user, item, num_users, num_items)
        order = user.argsort(stable=True)
        self._user, self._item = user[order], item[order]
        count = torch.bincount(user, minlength=num_users)
        self._place = torch.arange(len(user), device=user.device) - (count.cumsum(0) - count)[self._user]
        sizes = count.split(max(1, _SCORES_AT_ONCE // num_items))
        rows, most = torch.stack([torch.stack([each.sum(), each.amax()]) for each in sizes], dim=1).tolist()
        self._blocks = [UserBlock(*each) for each in zip(map(len, sizes), rows, most, strict=True)]
        self._renewed = None

    def start_epoch(self, epoch: int, scores: Scorer, generator: torch.Generator) -> None:
        """Renew the quantiles of all users, where that is due.

        Raises:
            ValueError: If the loss is not prepared.
        """
        self.check_prepared()
        # An epoch that is resumed halfway goes on with the quantiles that it began with.
        if self._renewed is not None and (epoch % self.renewal or epoch == self._renewed):
            return
        self.quantile = torch.cat([*self._quantiles(scores, generator)])
        self._renewed = epoch

    @torch.no_grad()
    def _quantiles(self, scores: Scorer, generator: torch.Generator) -> Iterator[Tensor]:
        """Yield the K-th largest score of each user, or the smallest of fewer candidates, block by block."""
        user = row = 0
        for block in self._blocks:
            held = scores(torch.arange(user, user + block.users, device=self.quantile.device))
            rows = slice(row, row + block.rows)
            own = (self._user[rows] - user, self._item[rows])
            if self.samples < held.shape[1]:
                of_user = held.new_full((block.users, block.most), -math.inf)
                of_user[own[0], self._place[rows]] = held[own]
                held = torch.cat([of_user, self._drawn(held, own, generator)], dim=1)
            best = held.topk(self.k, dim=1).values
            yield best.masked_fill(best == -math.inf, math.inf).amin(dim=1)
            user, row = user + block.users, row + block.rows

    def _drawn(self, scores: Tensor, own: tuple[Tensor, Tensor], generator: torch.Generator) -> Tensor:
        """Return the scores of items drawn for each user, [b, n] -> [b, samples]; -inf for items that the user has."""
        users, items = scores.shape
        drawn = torch.randint(items, (users, self.samples), generator=generator, device=generator.device)
        drawn = drawn.to(scores.device)
        taken = torch.zeros(scores.shape, dtype=torch.bool, device=scores.device)
        taken[own] = True
        return scores.gather(1, drawn).masked_fill(taken.gather(1, drawn), -math.inf)

    def training_state(self) -> dict[str, Any]:
        """Return the quantiles and the epoch of their renewal."""
        return {**super().training_state(), "renewed": self._renewed}

    def load_training_state(self, state: dict[str, Any]) -> None:
        """Go on with stored quantiles."""
        super().load_training_state(state)
        self._renewed = state.get("renewed")
