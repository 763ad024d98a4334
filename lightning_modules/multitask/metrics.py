"""Ranking and calibration metrics of several tasks, and calibration curves."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from callbacks.scalar_layout import Layout
from lightning_modules.core.single_class_warning import SingleClassWarning
from lightning_modules.statistics.ranking import auc, dense_ranks, grouped_auc, scores_of
from lightning_modules.statistics.standard_errors import auc_components, over_groups


class CalibrationCurve(NamedTuple):
    """Mean prediction and share of label 1 in bins of about equally many rows, by rising prediction.

    Attributes:
        predicted: Mean predicted probability, float, of shape [bins].
        observed: Share of label 1, float, of shape [bins].
        rows: Number of rows, int64, of shape [bins].
    """

    predicted: Tensor
    observed: Tensor
    rows: Tensor


def calibration_curve(logit: Tensor, label: Tensor, bins: int = 20) -> CalibrationCurve:
    """Return the curve of one task, in quantile bins of the predictions.

    Args:
        logit: Logits, of shape [n].
        label: 0 or 1, of shape [n].
        bins: Number of bins, at least 1; no more than there are rows are made.
    """
    # Stable, so that rows of one prediction on both sides of a border do not depend on the device.
    ordered, order = logit.sort(stable=True)
    parts = min(bins, len(logit))
    probability = torch.sigmoid(ordered).tensor_split(parts)
    observed = label[order].tensor_split(parts)
    return CalibrationCurve(
        predicted=torch.stack([part.mean() for part in probability]),
        observed=torch.stack([part.mean() for part in observed]),
        rows=torch.tensor([len(part) for part in observed]),
    )


NAMES: tuple[str, ...] = ("auc", "log_loss", "session_log_loss", "calibration", "grouped_auc")


class MultiTaskMetrics(Metric):
    """Ranking and calibration metrics of logits against 0/1 labels, over all rows of a split.

    For every task, as ``auc/click``, and as the mean over the tasks under the plain name:

    - ``auc``: exact, ties counted half; nan if there is one class.
    - ``log_loss``: mean binary cross-entropy, from the logits.
    - ``session_log_loss``: mean over the sessions of the session's mean log-loss.
    - ``calibration``: sum of the predicted probabilities over the number of labels 1; nan if there are none.
    - ``grouped_auc``: mean of the users' AUCs, weighted by their rows; users of one class are left out, nan if all are.

    All metrics of a task are nan if one of its logits is not finite, and the mean is nan if one of the tasks is, so
    that it never changes its meaning from one epoch to the next.

    Args:
        tasks: Names of the tasks, in the order of the columns.

    Raises:
        ValueError: If there are no tasks or two have the same name; in ``update``, if the columns are not the tasks.
    """

    full_state_update = False
    logit: list[Tensor]
    label: list[Tensor]
    session: list[Tensor]
    user: list[Tensor]

    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__()
        if not tasks or len(set(tasks)) < len(tasks):
            raise ValueError(f"tasks need different names, at least one, got {list(tasks)}")
        self.tasks = tuple(tasks)
        self._single_class = SingleClassWarning()
        self._warned_groups: set[str] = set()
        for state in ("logit", "label", "session", "user"):
            self.add_state(state, default=[], dist_reduce_fx="cat")

    def update(self, logit: Tensor, label: Tensor, session: Tensor, user: Tensor) -> None:
        """Add the rows of one batch.

        Args:
            logit: One logit a task, of shape [n, tasks].
            label: 0 or 1, of shape [n, tasks].
            session: Number of the row's session, int64, of shape [n].
            user: Number of the row's user, int64, of shape [n].
        """
        if logit.shape != label.shape or logit.shape[1:] != (len(self.tasks),):
            raise ValueError(
                f"logits of shape {tuple(logit.shape)} and labels of shape {tuple(label.shape)} do not fit "
                f"{len(self.tasks)} tasks ({', '.join(self.tasks)}): both need one column a task"
            )
        self.logit.append(scores_of(logit))
        self.label.append(label.detach().float())
        self.session.append(session.detach())
        self.user.append(user.detach())

    def compute(self) -> dict[str, Tensor]:
        """Return every metric of every task, and the means over the tasks, by name."""
        logit, label = dim_zero_cat(self.logit), dim_zero_cat(self.label)
        session_weight = _mean_of_means(dim_zero_cat(self.session))
        user = torch.unique(dim_zero_cat(self.user), return_inverse=True)[1]
        columns = zip(self.tasks, logit.unbind(1), label.unbind(1), strict=True)
        of_tasks = {task: self._of_task(task, z, y, session_weight, user) for task, z, y in columns}
        values = {f"{name}/{task}": of_tasks[task][name] for name in NAMES for task in self.tasks}
        for name in NAMES:
            values[name] = torch.stack([of_task[name] for of_task in of_tasks.values()]).mean()
        return values

    def calibration_curves(self, bins: int = 20) -> dict[str, CalibrationCurve]:
        """Return the calibration curve of every task, over the rows of all processes, which all have to call this."""
        with self.sync_context():
            logit, label = dim_zero_cat(self.logit), dim_zero_cat(self.label)
        columns = zip(self.tasks, logit.unbind(1), label.unbind(1), strict=True)
        return {task: calibration_curve(z, y, bins) for task, z, y in columns}

    def components(self, name: str) -> Tensor | None:
        """Return what every user's rows add to a task's AUC or to their mean, of all processes; ``None`` for others.

        Rows of a user are no independent draws; where there are no users, these are sessions, or else rows. All
        processes have to call this.
        """
        tasks = {"auc": range(len(self.tasks))} | {f"auc/{task}": [place] for place, task in enumerate(self.tasks)}
        if name not in tasks:
            return None
        with self.sync_context():
            logit, label = (dim_zero_cat(state)[:, list(tasks[name])] for state in (self.logit, self.label))
            user = dim_zero_cat(self.user)
        columns = zip(logit.unbind(1), label.unbind(1), strict=True)
        of_rows = torch.stack([auc_components(dense_ranks(z), y > 0.5) for z, y in columns]).mean(0)
        return over_groups(of_rows, user)

    def _of_task(self, task: str, logit: Tensor, label: Tensor, weight: Tensor, user: Tensor) -> dict[str, Tensor]:
        if not torch.isfinite(logit).all():
            return dict.fromkeys(NAMES, logit.new_tensor(torch.nan))
        log_loss = F.binary_cross_entropy_with_logits(logit, label, reduction="none")
        positives = label.sum()
        calibration = torch.sigmoid(logit).sum() / torch.where(positives > 0, positives, torch.nan)
        area, area_of_users = self._areas(task, dense_ranks(logit), label > 0.5, user)
        return {
            "auc": area,
            "log_loss": log_loss.mean(),
            "session_log_loss": (log_loss * weight).sum(),
            "calibration": calibration,
            "grouped_auc": area_of_users,
        }

    def _areas(self, task: str, rank: Tensor, positive: Tensor, user: Tensor) -> tuple[Tensor, Tensor]:
        area, area_of_users = auc(rank, positive), grouped_auc(rank, positive, user)
        if torch.isnan(area):
            self._single_class.warn(rows=len(positive), label=int(positive[0]), task=task)
        elif torch.isnan(area_of_users) and task not in self._warned_groups:
            self._warned_groups.add(task)
            rank_zero_warn(
                f"the AUC of '{task}' by user is undefined and reported as nan: no user has rows of both labels. "
                "It needs users with several rows; monitor another metric."
            )
        return area, area_of_users


def _mean_of_means(group: Tensor) -> Tensor:
    """Return the weight of every row in the mean over groups of the groups' means; they sum to 1. Shapes [n]."""
    _, index, rows = torch.unique(group, return_inverse=True, return_counts=True)
    return torch.reciprocal(rows * len(rows))[index]


#: Every metric of the validation rows on a chart of its own, with its tasks and their mean.
VALIDATION_CHARTS = {name.replace("_", " "): f"val/{name}(/.*)?" for name in NAMES}

#: What a multi-task model logs.
LAYOUT: Layout = {"Validation": VALIDATION_CHARTS, "Training": {"loss": "train/loss(/.*)?"}}
