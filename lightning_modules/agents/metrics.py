"""The score of an actor: what it earns in a session."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat


class SessionScore(Metric):
    """Mean over the sessions of the sum of the rewards of a session's rows.

    For every task as ``score/<task>``, and as ``score`` with the rewards of all tasks added up.

    Args:
        tasks: Names of the tasks, in the order of the columns.
    """

    full_state_update = False
    total: Tensor
    session: list[Tensor]

    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__()
        self.tasks = tuple(tasks)
        self.add_state("total", default=torch.zeros(len(self.tasks)), dist_reduce_fx="sum")
        self.add_state("session", default=[], dist_reduce_fx="cat")

    def update(self, reward: Tensor, session: Tensor) -> None:
        """Add the rows of one batch.

        Args:
            reward: What the actions earned, float [n, tasks].
            session: Number of the row's session, int64 [n].
        """
        self.total += reward.sum(dim=0)
        self.session.append(torch.unique(session))

    def compute(self) -> dict[str, Tensor]:
        """Return the scores by name."""
        score = self.total / torch.unique(dim_zero_cat(self.session)).numel()
        of_tasks = {f"score/{task}": each for task, each in zip(self.tasks, score, strict=True)}
        return {"score": score.sum(), **of_tasks}
