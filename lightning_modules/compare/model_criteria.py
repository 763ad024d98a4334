"""What losses of a model are compared by; of several tasks, the mean of their AUCs beside that of each."""

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import pytorch_lightning as pl
import torch
from torch import Tensor

from lightning_modules.compare.criteria import AreaUnderCurve, Criterion, MeanOverUsers, RanksCatalogue
from lightning_modules.statistics.bootstrap import bootstrap_task_aucs
from lightning_modules.statistics.ranking import dense_ranks
from lightning_modules.statistics.standard_errors import auc_components, over_groups
from lightning_modules.training.predictions import Scores


class MeanOverTasks(AreaUnderCurve):
    """The mean AUC of the tasks of a model that gives every row a probability for each, or the AUC of one of them.

    Scores are float [n, tasks], or [seeds, n, tasks] of several seeds, labels [n, tasks].

    Args:
        tasks: Names of the tasks.
        task: The one that losses are compared by; None compares them by the mean.
    """

    def __init__(self, tasks: Sequence[str], task: str | None = None) -> None:
        self.tasks = tuple(tasks)
        self.places = [*range(len(self.tasks))] if task is None else [self.tasks.index(task)]
        self.metric, self.beside = ("auc", "log_loss") if task is None else (f"auc_{task}", f"log_loss_{task}")
        self.title = "mean AUC" if task is None else f"AUC {task}"
        self.parts = {f"auc_{each}": f"AUC {each}" for each in self.tasks}

    def standard_error(self, measured: Scores) -> float:
        """Return the standard error over independent users, whose rows are not independent; nan if it is unknown."""
        if not len(measured.score) or bool(measured.score.isnan().any()):
            return torch.nan
        columns = zip(measured.score[:, self.places].unbind(1), measured.label[:, self.places].unbind(1), strict=True)
        of_rows = torch.stack([auc_components(dense_ranks(score), label > 0.5) for score, label in columns]).mean(0)
        return float(over_groups(of_rows, measured.user).norm())

    def figures(self, measured: Scores) -> dict[str, float]:  # noqa: ARG002
        """Return nothing: models of several tasks log their metrics."""
        return {}

    def observed(self, score: Tensor, label: Tensor) -> Tensor:
        """Return the AUCs of the tasks, float64 [seeds, tasks]."""
        columns = zip(score.unbind(2), label.unbind(1), strict=True)
        return torch.stack([super(MeanOverTasks, self).observed(*column) for column in columns], dim=1)

    def bootstrap(
        self,
        scores: Sequence[Tensor],
        label: Tensor,
        groups: Tensor,
        *,
        resamples: int,
        generator: torch.Generator,
        progress: Callable[[int], None],
    ) -> list[Tensor]:
        """Return the AUCs of the tasks, float64 [resamples, seeds, tasks]; nan where one has a single class."""
        return bootstrap_task_aucs(scores, label, groups, resamples=resamples, generator=generator, progress=progress)

    def combined(self, values: Tensor) -> Tensor:
        """Return the mean of the tasks' AUCs, or that of one task: float64 [..., tasks] -> [...]."""
        return values[..., self.places].mean(-1)

    def rows(self, label: Tensor) -> str:
        """Return how many rows there are, and how many of them are positive in each task."""
        positive = (f"{int(count)} positive in {task}" for task, count in zip(self.tasks, label.sum(0), strict=True))
        return f"{len(label)} test rows, {', '.join(positive)}"


@runtime_checkable
class HasTasks(Protocol):
    """Models that give every row a probability for each of several tasks.

    Attributes:
        tasks: Names of the tasks, in the order of the columns.
    """

    tasks: Sequence[str]


def criterion_of(model: pl.LightningModule, monitor: str) -> Criterion:
    """Return what losses of a model are compared by.

    Args:
        model: The model.
        monitor: The validation metric that its trainings are watched by, such as ``val/ndcg@20``. Of several tasks,
            that of one, such as ``val/auc/click``, has losses compared by this task.
    """
    if isinstance(model, RanksCatalogue):
        return MeanOverUsers(monitor.partition("/")[2])
    if isinstance(model, HasTasks):
        task = monitor.rpartition("/")[2]
        return MeanOverTasks(model.tasks, task if task in model.tasks else None)
    return AreaUnderCurve()
