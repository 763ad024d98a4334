"""A multi-task model without interactions of its features, whose optimum under given weights is computed exactly."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from lightning_modules.layers import FieldEmbedding
from lightning_modules.multitask import MultiTaskModel


class LogisticRegression(MultiTaskModel):
    """One logistic regression a task: a logit adds up a number for every category and a multiple of every feature.

    Takes ``categorical`` int64 [n, fields] and ``numerical`` float [n, features], returns logits float [n, tasks].

    Args:
        field_sizes: See :class:`MultiTaskModel`.
        num_numerical: See :class:`MultiTaskModel`.
        tasks: See :class:`MultiTaskModel`.
        options: The other arguments of :class:`MultiTaskModel`.
    """

    def __init__(self, field_sizes: Sequence[int], num_numerical: int, tasks: Sequence[str], **options: Any) -> None:
        super().__init__(field_sizes, num_numerical, tasks, **options)
        self.embedding = FieldEmbedding(field_sizes, num_numerical, len(self.tasks))

    def forward(self, categorical: Tensor, numerical: Tensor) -> Tensor:
        """Return the logit of every task: int64 [n, fields], float [n, features] -> float [n, tasks]."""
        vectors: Tensor = self.embedding(categorical, numerical)
        return vectors.sum(dim=1)
