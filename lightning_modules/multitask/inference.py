"""What a trained multi-task model computes where it is used: every task's probability of a row."""

import json
from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from lightning_modules.core.inference import InferenceGraph, spread

#: Features of examples are spread over as many standard deviations on either side.
_DEVIATIONS = 3.0


class ImpressionGraph(InferenceGraph):
    """Every task's probability and its logit: two tensors float [n, tasks], the tasks in the order of ``metadata``.

    Args:
        logit: The model: ``categorical`` int64 [n, fields], ``numerical`` float [n, features] -> float [n, tasks].
        field_sizes: Number of indices of every categorical field.
        num_numerical: Number of numerical features.
        tasks: Name of every task.
    """

    inputs: ClassVar[dict[str, tuple[str, ...]]] = {"categorical": ("rows",), "numerical": ("rows",)}
    outputs: ClassVar[tuple[str, ...]] = ("probability", "logit")
    values: ClassVar[str] = "probabilities"

    def __init__(
        self,
        logit: Callable[[Tensor, Tensor], Tensor],
        field_sizes: Sequence[int],
        num_numerical: int,
        tasks: Sequence[str],
    ) -> None:
        super().__init__()
        self.logit = logit
        self.field_sizes, self.num_numerical, self.tasks = tuple(field_sizes), num_numerical, tuple(tasks)

    def forward(self, categorical: Tensor, numerical: Tensor) -> tuple[Tensor, Tensor]:
        """Return the probability and the logit of every row and task."""
        logit = self.logit(categorical, numerical)
        return torch.sigmoid(logit), logit

    def examples(self, rows: int) -> tuple[Tensor, Tensor]:
        """Return rows spread over all fields, every other one backwards, with features between +-3."""
        indices = [spread(size, rows) for size in self.field_sizes]
        turned = [each.flip(0) if place % 2 else each for place, each in enumerate(indices)]
        categorical = torch.stack(turned, dim=1) if turned else torch.zeros(rows, 0, dtype=torch.int64)
        numerical = torch.linspace(-_DEVIATIONS, _DEVIATIONS, rows * self.num_numerical)
        return categorical, numerical.view(rows, self.num_numerical)

    def metadata(self) -> dict[str, str]:
        """Return the tasks in the order of the outputs' columns, as JSON."""
        return {"tasks": json.dumps(self.tasks)}
