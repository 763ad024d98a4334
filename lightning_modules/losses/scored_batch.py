"""Batches of scores that listwise losses are given."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_modules.losses.shared_scores import shared_logsumexp, shared_scores, take_over


class ScoredBatch(NamedTuple):
    """Items of users and their negatives, scored.

    Attributes:
        user: Index of the user, int64, shape [n].
        item: Index of an item of the user, int64, shape [n].
        positive: Score of that item, float, shape [n].
        negative: Scores of the row's negatives, float, shape [n, N].
        log_q: Logarithm of the probability with which each negative was drawn, float, shape [N] or [n, N]; shape [0]
            where scores are not corrected for it.
        user_vector: The users' vectors as they are scored, normalised where the score is a cosine, float, shape [n, d].
        item_vector: The items' vectors, like those of the users.
    """

    user: Tensor
    item: Tensor
    positive: Tensor
    negative: Tensor
    log_q: Tensor
    user_vector: Tensor
    item_vector: Tensor

    @property
    def log_weight(self) -> Tensor | None:
        """Logarithm of the negatives' importance weights ``1 / q``, in the shape of ``log_q``; None where it is empty.

        Weights have a mean of 1 in every row, so that negatives that are all drawn with one probability weigh 1.
        """
        if not self.log_q.numel():
            return None
        total = torch.logsumexp(-self.log_q, dim=-1, keepdim=True)
        return math.log(self.log_q.shape[-1]) - total - self.log_q


class SharedBatch(NamedTuple):
    """Items of users and vectors of the negatives that all rows share, which are not scored yet.

    Attributes:
        user: Index of the user, int64, shape [n].
        item: Index of an item of the user, int64, shape [n].
        positive: Score of that item, float, shape [n].
        negative_vector: The negatives' vectors as they are scored, float, shape [N, d].
        replaced: Row, place of a negative that the row's user has, and place of the one that is used instead, by
            ascending rows, int64, shape [3, m].
        log_q: Logarithm of the probability with which each negative was drawn, float, shape [N]; shape [0] where scores
            are not corrected for it.
        user_vector: The users' vectors, like those of the negatives, float, shape [n, d].
        item_vector: The items' vectors, like those of the users.
    """

    user: Tensor
    item: Tensor
    positive: Tensor
    negative_vector: Tensor
    replaced: Tensor
    log_q: Tensor
    user_vector: Tensor
    item_vector: Tensor

    @property
    def log_sum_is_quick(self) -> bool:
        """Whether :meth:`log_sum` is there, and takes less time than scores and their sum."""
        vectors = self.user_vector
        return vectors.is_cpu and vectors.dtype in (torch.float32, torch.float64) and not len(self.log_q)

    def log_sum(self, temperature: float) -> Tensor:
        """Return ``log sum_j exp(s_j / t)`` over the negatives of every row, float [n], without correction.

        Raises:
            ValueError: If there are no negatives.
        """
        check_negatives(len(self.negative_vector))
        return shared_logsumexp(self.user_vector, self.negative_vector, self.replaced, temperature)

    def scored(self) -> ScoredBatch:
        """Return the rows with the scores of their negatives."""
        negative = shared_scores(self.user_vector, self.negative_vector, self.replaced)
        log_q = self.log_q
        if len(log_q) and self.replaced.shape[1]:
            log_q = log_q.expand_as(negative).clone()
            take_over(log_q, self.replaced)
        vectors = self.user_vector, self.item_vector
        return ScoredBatch(self.user, self.item, self.positive, negative, log_q, *vectors)


def check_negatives(count: int) -> None:
    """Refuse rows without negatives.

    Raises:
        ValueError: If there are none.
    """
    if count == 0:
        raise ValueError("a listwise loss compares a positive with its negatives, and there are none: draw at least 1")
