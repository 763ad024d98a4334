"""The base of losses that look at the score from which on items are among a user's top K."""

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor

from lightning_modules.losses.listwise_loss import BatchLoss, check_shapes
from lightning_modules.losses.scored_batch import ScoredBatch, SharedBatch


class QuantileLoss(BatchLoss):
    """A loss that holds for every user the quantile ``beta``, the K-th largest of the user's scores.

    Args:
        k: Length of the lists of recommendations that are trained for, at least 1.

    Raises:
        ValueError: If it is less.
    """

    quantile: Tensor

    def __init__(self, k: int) -> None:
        super().__init__()
        if k < 1:
            raise ValueError(f"k is the length of a list of recommendations and must be at least 1, got {k}")
        self.k = k
        self.register_buffer("quantile", torch.zeros(0), persistent=False)

    @abstractmethod
    def of_quantile(self, positive: Tensor, negative: Tensor, quantile: Tensor, log_weight: Tensor | None) -> Tensor:
        """Return the loss of every positive.

        Args:
            positive: Scores of items that users have, float [n].
            negative: Scores of each one's negatives, float [n, N].
            quantile: The users' quantiles, float [n].
            log_weight: Logarithms of the negatives' importance weights, float [N] or [n, N]; None where all are 1.
        """

    def of_batch(self, scored: ScoredBatch) -> Tensor:
        """Return the loss of every row of a batch, float [n].

        Raises:
            ValueError: If the loss is not prepared, the shapes of scores do not fit each other, or there are no
                negatives.
        """
        check_shapes(scored.positive, scored.negative)
        return self.of_quantile(scored.positive, scored.negative, self.quantiles(scored), scored.log_weight)

    def quantiles(self, scored: ScoredBatch | SharedBatch) -> Tensor:
        """Return the quantile of every row's user, float [n].

        Raises:
            ValueError: If the loss is not prepared.
        """
        self.check_prepared()
        return self.quantile[scored.user].to(scored.positive.dtype)

    def check_prepared(self) -> None:
        """Refuse to train before the users are known.

        Raises:
            ValueError: If the loss is not prepared.
        """
        if not len(self.quantile):
            raise ValueError(
                f"{self.title} holds a quantile for every user and knows none: call prepare(user, item, num_users, "
                "num_items) before training"
            )

    def prepare(self, user: Tensor, item: Tensor, num_users: int, num_items: int) -> None:  # noqa: ARG002
        """Begin with a quantile of 0 for every user.

        Raises:
            ValueError: If there are fewer items than recommendations.
        """
        if num_items < self.k:
            raise ValueError(f"k={self.k} items are to be recommended and there are {num_items}: choose a smaller k")
        self.quantile = torch.zeros(num_users, device=user.device)

    def training_state(self) -> dict[str, Any]:
        """Return the quantiles."""
        return {"quantile": self.quantile.clone()}

    def load_training_state(self, state: dict[str, Any]) -> None:
        """Go on with stored quantiles.

        Raises:
            ValueError: If they are those of other users.
        """
        stored = state.get("quantile")
        if not isinstance(stored, Tensor) or stored.shape != self.quantile.shape:
            found = list(stored.shape) if isinstance(stored, Tensor) else "nothing"
            raise ValueError(
                f"{self.title} goes on from a quantile for each of {len(self.quantile)} users, and the checkpoint "
                f"holds {found}: it is of another loss or other data; start a new training, or take the weights alone"
            )
        self.quantile = stored.to(self.quantile.device)
