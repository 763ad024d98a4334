"""Values of losses of scores at given scores, and their curves over the score of one negative."""

import copy
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_modules.losses.listwise_loss import ListwiseLoss
from lightning_modules.losses.scored_batch import ScoredBatch

#: Takes scores of positives, float [n], and of their negatives, float [n, N]; returns the loss of every row, float [n].
OfScores = Callable[[Tensor, Tensor], Tensor]

_POINTS = 300
#: Cosines of the positive, and of the other negatives, which lie at equal distances.
_POSITIVE, _OTHERS = 0.0, (-1.0, 0.0)
_FARTHEST = 1.5
# Losses that look at a user's top K need as many items.
_NUM_ITEMS = 100_000


class LossCurve(NamedTuple):
    """A loss and its derivative at rising places."""

    at: list[float]
    value: list[float]
    gradient: list[float]


def of_scores(loss: ListwiseLoss) -> OfScores:
    """Return a loss as a function of scores alone, with which :class:`BatchLoss` would not do.

    What it knows of users and items: every row has a user of its own, with one item and a quantile of 0.
    """
    ready = copy.deepcopy(loss).eval()

    def value(positive: Tensor, negative: Tensor) -> Tensor:
        user, vector = torch.arange(len(positive)), positive.new_ones(len(positive), 1)
        item = user % _NUM_ITEMS
        ready.prepare(user, item, len(user), _NUM_ITEMS)
        batch = ScoredBatch(user, item, positive, negative, positive.new_empty(0), vector, vector)
        # Losses of vectors do not depend on scores.
        return ready.of_batch(batch) + 0 * (positive + negative.sum(dim=1))

    return value


def score_curve(loss: ListwiseLoss, negatives: int) -> LossCurve:
    """Return a loss over the gap of one negative, its score less that of the positive, among others that stay.

    Args:
        loss: The loss.
        negatives: Number of negatives of the row.
    """
    gap = torch.linspace(-_FARTHEST, _FARTHEST, _POINTS, dtype=torch.float64).requires_grad_()
    others = torch.linspace(*_OTHERS, max(1, negatives - 1), dtype=torch.float64)[: negatives - 1]
    negative = torch.cat([(_POSITIVE + gap)[:, None], others.expand(_POINTS, -1)], dim=1)
    value = of_scores(loss)(torch.full_like(gap, _POSITIVE), negative)
    (gradient,) = torch.autograd.grad(value.sum(), gap)
    return LossCurve(gap.tolist(), value.tolist(), gradient.tolist())
