"""SL@K: sampled softmax that weighs positives by whether they are among a user's top K."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lightning_modules.losses.listwise_loss import Scores
from lightning_modules.losses.loss_object import above_zero
from lightning_modules.losses.quantile_loss import QuantileLoss
from lightning_modules.losses.score_arithmetic import scaled_logsumexp

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


class SLatK(QuantileLoss):
    """SL@K: ``w log sum_j exp((s_j - s+) / t)`` with the weight ``w = sigmoid((s+ - beta) / t_w)``.

    Yang et al., Breaking the Top-K Barrier: Advancing Top-K Ranking Metrics Optimization in Recommender Systems, KDD
    2025, https://arxiv.org/abs/2508.05673. ``beta`` is the K-th largest score among the user's positives and sampled
    items. Published with cosines, ``t`` of 0.1 to 0.2, ``t_w`` of 0.5 to 3, and K of 5 to 100, which hardly matters.

    Like the published code, this trains through the weight as well, which brakes the pull on positives
    (``detach_weight``). What differs: quantiles are renewed for all users at once at the beginning of an epoch, the
    first included, from all of the user's positives. The published code starts from 0, renews them batch by batch
    during every 5th or 20th epoch from the negatives of the batch, and cuts the positives of the tenth of the users
    that have most. It trains with a tenth of the learning rate that it is given.

    Args:
        k: The K, at least 1.
        temperature: The ``t``, > 0.
        weight_temperature: The ``t_w``, > 0.
        renewal: Epochs between renewals of the quantiles, at least 1.
        samples: Items drawn with replacement for each user's quantile, at least ``k``; all items are taken where there
            are no more.
        detach_weight: Send no gradient through the weight.
    """

    _user: Tensor
    _item: Tensor
    _place: Tensor

    def __init__(
        self,
        k: int = 20,
        temperature: float = 0.1,
        weight_temperature: float = 2.0,
        renewal: int = 5,
        samples: int = 1000,
        detach_weight: bool = False,
    ) -> None:
        super().__init__(k)
        if renewal < 1:
            raise ValueError(f"renewal is a number of epochs and must be at least 1, got {renewal}")
        if samples < k:
            raise ValueError(f"the quantile of the top k={k} needs samples of at least as many items, got {samples}")
        self.temperature = above_zero("temperature", temperature)
        self.weight_temperature = above_zero("weight_temperature", weight_temperature)
        self.renewal = renewal
        self.samples = samples
        self.detach_weight = detach_weight
        self._renewed: int | None = None
        self._blocks: list[UserBlock] = []
        for name in ("_user", "_item", "_place"):
            self.register_buffer(name, torch.zeros(0, dtype=torch.int64), persistent=False)

    def of_quantile(self, positive: Tensor, negative: Tensor, quantile: Tensor, log_weight: Tensor | None) -> Tensor:
        """Return the weighted softmax loss of every positive."""
        weight = torch.sigmoid((positive - quantile) / self.weight_temperature)
        corrected = negative if log_weight is None else negative + self.temperature * log_weight
        loss = scaled_logsumexp(corrected, self.temperature) - positive / self.temperature
        return (weight.detach() if self.detach_weight else weight) * loss

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

    def start_epoch(self, epoch: int, scores: Scores, generator: torch.Generator) -> None:
        """Renew the quantiles of all users, where that is due."""
        # An epoch that is resumed halfway goes on with the quantiles that it began with.
        if self._renewed is not None and (epoch % self.renewal or epoch == self._renewed):
            return
        self.quantile = torch.cat([*self._quantiles(scores, generator)])
        self._renewed = epoch

    @torch.no_grad()
    def _quantiles(self, scores: Scores, generator: torch.Generator) -> Iterator[Tensor]:
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
