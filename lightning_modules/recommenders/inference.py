"""What trained recommenders compute where they are used: scores of pairs, or of whole catalogues."""

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor

from lightning_modules.core.inference import InferenceGraph, spread


class PairGraph(InferenceGraph):
    """Probability of label 1 and its logit: ``user``, ``item`` int64 [n] -> two tensors float [n].

    Args:
        logit: The model: users and items, int64 [n], to logits, float [n].
        num_users: Number of users.
        num_items: Number of items.
    """

    inputs: ClassVar[dict[str, tuple[str, ...]]] = {"user": ("rows",), "item": ("rows",)}
    outputs: ClassVar[tuple[str, ...]] = ("probability", "logit")
    values: ClassVar[str] = "probabilities"

    def __init__(self, logit: Callable[[Tensor, Tensor], Tensor], num_users: int, num_items: int) -> None:
        super().__init__()
        self.logit = logit
        self.num_users, self.num_items = num_users, num_items

    def forward(self, user: Tensor, item: Tensor) -> tuple[Tensor, Tensor]:
        """Return the probability and the logit of every row."""
        logit = self.logit(user, item)
        return torch.sigmoid(logit), logit

    def examples(self, rows: int) -> tuple[Tensor, Tensor]:
        """Return pairs spread over both tables."""
        return spread(self.num_users, rows), spread(self.num_items, rows).flip(0)


class VectorGraph(InferenceGraph):
    """Products of users' vectors with those of all items: ``user`` int64 [n] -> float [n, num_items].

    Args:
        users: Vectors of the users, float [num_users, d].
        items: Vectors of the items, float [num_items, d].
    """

    inputs: ClassVar[dict[str, tuple[str, ...]]] = {"user": ("rows",)}
    outputs: ClassVar[tuple[str, ...]] = ("score",)

    users: Tensor
    items: Tensor

    def __init__(self, users: Tensor, items: Tensor) -> None:
        super().__init__()
        self.register_buffer("users", users.detach())
        self.register_buffer("items", items.detach())

    def forward(self, user: Tensor) -> Tensor:
        """Return the scores of all items for every user."""
        return self.users[user] @ self.items.T

    def examples(self, rows: int) -> tuple[Tensor]:
        """Return users spread over the table."""
        return (spread(len(self.users), rows),)


class ConstantGraph(InferenceGraph):
    """The same scores of all items for every user: ``user`` int64 [n] -> float [n, num_items].

    Args:
        scores: The scores, float [num_items].
    """

    inputs: ClassVar[dict[str, tuple[str, ...]]] = {"user": ("rows",)}
    outputs: ClassVar[tuple[str, ...]] = ("score",)

    scores: Tensor

    def __init__(self, scores: Tensor) -> None:
        super().__init__()
        self.register_buffer("scores", scores.detach())

    def forward(self, user: Tensor) -> Tensor:
        """Return the scores of all items for every user."""
        return self.scores.unsqueeze(0).repeat(user.shape[0], 1)

    def examples(self, rows: int) -> tuple[Tensor]:
        """Return a user several times."""
        return (torch.zeros(rows, dtype=torch.int64),)


class HistoryGraph(InferenceGraph):
    """Sums of the weights of the items that a user has: ``history`` int64 [n, m] -> float [n, num_items].

    A row holds the items of a user in any order, each counted once, and -1 behind them where it has fewer than others.

    Args:
        weight: Weights of items, a row, for items, a column; float [num_items, num_items].
    """

    inputs: ClassVar[dict[str, tuple[str, ...]]] = {"history": ("rows", "items")}
    outputs: ClassVar[tuple[str, ...]] = ("score",)

    weight: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight.detach())

    def forward(self, history: Tensor) -> Tensor:
        """Return the scores of all items for every row."""
        num_items = self.weight.shape[0]
        # What is no item goes into a column that is dropped.
        place = torch.where(history < 0, num_items, history)
        taken = self.weight.new_zeros(history.shape[0], num_items + 1).scatter(1, place, 1.0)
        return taken[:, :num_items] @ self.weight

    def examples(self, rows: int) -> tuple[Tensor]:
        """Return histories of three items, the last of which most rows do without."""
        first = spread(len(self.weight), rows)
        third = torch.where(first % 3 > 0, -1, first // 2)
        return (torch.stack([first, first.flip(0), third], dim=1),)
