"""The base class of listwise losses: those of an item that a user has among items that it does not have."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor

from lightning_modules.losses.contract import MisfitError, Prediction
from lightning_modules.losses.loss_object import LossObject
from lightning_modules.losses.scored_batch import ScoredBatch, SharedBatch, check_negatives

#: Takes users, int64 [b], and returns their scores of all items, float [b, num_items], in memory of their own.
Scorer = Callable[[Tensor], Tensor]


# What a subclass may override of how a batch becomes losses.
_OF_BATCH = ("forward", "weighted", "of_batch", "of_quantile")


class ListwiseLoss(LossObject):
    """A listwise loss without reduction: ``forward(positive, negative)`` returns one value for every positive.

    A model calls :meth:`prepare` before training, :meth:`start_epoch` before every epoch, and in every step
    :meth:`of_batch` or, where rows share their negatives, :meth:`of_shared`; it stores :meth:`training_state` in its
    checkpoints.

    Attributes:
        temperature: What scores are divided by where the loss takes their exponentials.
    """

    wants: ClassVar[Prediction] = "scores"
    temperature: float = 1.0

    def __init_subclass__(cls, **options: Any) -> None:
        """Let a class that computes losses in its own way do so where negatives are shared, too."""
        super().__init_subclass__(**options)
        if "of_shared" not in vars(cls) and any(name in vars(cls) for name in _OF_BATCH):
            cls.of_shared = ListwiseLoss.of_shared  # type: ignore[method-assign]

    @abstractmethod
    def forward(self, positive: Tensor, negative: Tensor) -> Tensor:
        """Return the loss of every positive.

        Args:
            positive: Scores of items that users have, float [n].
            negative: Scores of each one's negatives, float [n, N].

        Returns:
            Float [n].
        """

    def __call__(self, positive: Tensor, negative: Tensor) -> Tensor:
        """Check the shapes and return the value of ``forward``.

        Raises:
            ValueError: If the shapes do not fit each other, or there are no negatives.
        """
        check_shapes(positive, negative)
        losses: Tensor = super().__call__(positive, negative)
        return losses

    def of_batch(self, scored: ScoredBatch) -> Tensor:
        """Return the loss of every row of a batch, float [n].

        Raises:
            ValueError: If the shapes of scores do not fit each other, or there are no negatives.
        """
        log_weight = scored.log_weight
        if log_weight is None:
            return self(scored.positive, scored.negative)
        check_shapes(scored.positive, scored.negative)
        return self.weighted(scored.positive, scored.negative, log_weight)

    def of_shared(self, batch: SharedBatch) -> Tensor:
        """Return the loss of every row of a batch that shares its negatives, float [n].

        By default that of :meth:`of_batch`. A loss overrides it that need not look at every score by itself; what
        derives from it and overrides another method of these is computed by default again.
        """
        return self.of_batch(batch.scored())

    def weighted(self, positive: Tensor, negative: Tensor, log_weight: Tensor) -> Tensor:
        """Return the loss where negatives were drawn with unequal probabilities: the log-Q correction.

        By default, logarithms of weights are added to the scores in units of the temperature, which weighs their
        exponentials. The positive stays as it is.

        Args:
            positive: Scores of items that users have, float [n].
            negative: Scores of each one's negatives, float [n, N].
            log_weight: Logarithms of the negatives' importance weights, float [N] or [n, N].
        """
        return self(positive, negative + self.temperature * log_weight)

    def prepare(self, user: Tensor, item: Tensor, num_users: int, num_items: int) -> None:
        """Prepare for training rows before training starts; by default nothing is done.

        Args:
            user: Index of the user of every training row, int64 [rows], on the device of the training.
            item: Index of its item, like ``user``.
            num_users: Number of users.
            num_items: Number of items.

        Raises:
            ValueError: If the loss does not fit these rows.
        """

    def start_epoch(self, epoch: int, scores: Scorer, generator: torch.Generator) -> None:
        """Renew, before an epoch, what the loss holds of the users' scores; by default nothing is done.

        Args:
            epoch: Number of the epoch, from 0.
            scores: Scores users with all items, int64 [b] -> float [b, num_items], without gradient.
            generator: Source of the random numbers.
        """

    def training_state(self) -> dict[str, Any]:
        """Return what a resumed training needs of the loss, as plain data and tensors."""
        return {}

    def load_training_state(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`training_state` returned; :meth:`prepare` comes first.

        Raises:
            ValueError: If the state is that of other data or another loss.
        """


class BatchLoss(ListwiseLoss):
    """A listwise loss that needs more of a batch than its scores, and overrides :meth:`of_batch`."""

    @abstractmethod
    def of_batch(self, scored: ScoredBatch) -> Tensor:
        """Return the loss of every row of a batch, float [n]."""

    def forward(self, positive: Tensor, negative: Tensor) -> Tensor:  # noqa: ARG002
        """Refuse scores alone.

        Raises:
            MisfitError: Always.
        """
        raise MisfitError(f"the loss {self.title} needs more of a batch than its scores: call of_batch(scored)")


def check_shapes(positive: Tensor, negative: Tensor) -> None:
    """Refuse scores that broadcasting would accept, and rows without negatives.

    Raises:
        ValueError: If ``positive`` is not of shape [n] and ``negative`` of [n, N] with N > 0.
    """
    if positive.ndim != 1 or negative.ndim != 2 or len(positive) != len(negative):
        raise ValueError(
            f"the scores of positives have shape {tuple(positive.shape)} and those of negatives "
            f"{tuple(negative.shape)}, but every positive has its row of negatives: give [n] and [n, N]"
        )
    check_negatives(negative.shape[1])
