"""Ranking, calibration and classification metrics of binary labels."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.functional import mean_absolute_error, mean_squared_error
from torchmetrics.functional.classification import binary_stat_scores
from torchmetrics.utilities import dim_zero_cat

from lightning_modules.core.single_class_warning import SingleClassWarning
from lightning_modules.statistics.ranking import LatestRanks, auc, auc_of_each, scores_of
from lightning_modules.statistics.standard_errors import auc_components, over_groups

NAMES: tuple[str, ...] = ("auc", "log_loss", "accuracy", "f1", "precision", "recall", "rmse", "mae")


class RecommenderMetrics(Metric):
    """Ranking, calibration and classification metrics of logits against 0/1 labels, over all rows of a split.

    One metric keeps the rows that all of them need, because eight of them with a state each cost more to update and
    to gather from other processes than they cost to compute. ``auc`` is exact, with ties counted half; it ranks logits,
    as probabilities are equal where they round to 0 or 1. ``log_loss`` comes from the logits and needs no clamp; the
    thresholded metrics call a probability above ``threshold`` positive and are 0 where their denominator is.

    Args:
        threshold: The probability above which a prediction counts as positive, fixed and not fitted to the split.

    Raises:
        ValueError: If the threshold lies outside (0, 1).
    """

    full_state_update = False
    logit: list[Tensor]
    label: list[Tensor]
    user: list[Tensor]

    def __init__(self, threshold: float = 0.5) -> None:
        super().__init__()
        if not 0.0 < threshold < 1.0:
            raise ValueError(f"threshold is a probability strictly between 0 and 1, got {threshold}")
        self.threshold = threshold
        self._single_class = SingleClassWarning()
        self._ranks = LatestRanks()
        self.add_state("logit", default=[], dist_reduce_fx="cat")
        self.add_state("label", default=[], dist_reduce_fx="cat")
        self.add_state("user", default=[], dist_reduce_fx="cat")

    def update(self, logit: Tensor, label: Tensor, user: Tensor | None = None) -> None:
        """Add the rows of one batch.

        Args:
            logit: Of shape [n].
            label: 0/1 labels, of shape [n].
            user: Number of the user, int64, of shape [n]; without it in any batch, rows count as independent draws.
        """
        self.logit.append(scores_of(logit))
        self.label.append(label.detach().float())
        if user is not None:
            self.user.append(user)

    def reset(self) -> None:
        """Forget the rows."""
        super().reset()
        self._ranks = LatestRanks()

    def compute(self) -> dict[str, Tensor]:
        """Return every metric by name; all are nan if a logit is not finite, ``auc`` is nan if there is one class."""
        logit, label = dim_zero_cat(self.logit), dim_zero_cat(self.label)
        if not torch.isfinite(logit).all():
            return {name: logit.new_tensor(torch.nan) for name in NAMES}
        probability, target = torch.sigmoid(logit), label.long()
        values = {
            "auc": self._auc(logit, target),
            "log_loss": F.binary_cross_entropy_with_logits(logit, label),
            "rmse": mean_squared_error(probability, label, squared=False),
            "mae": mean_absolute_error(probability, label),
        }
        return values | self._thresholded(probability, target)

    def compute_of_each(self, name: str, logits: Tensor, label: Tensor) -> Tensor | None:
        """Return ``auc`` of every model, as :meth:`compute` does, of shape [models]; ``None`` for other metrics.

        Args:
            name: The metric.
            logits: Logits of every model, of shape [models, n].
            label: 0/1 labels, of shape [n].
        """
        if name != "auc":
            return None
        self._look_for_two_classes(label)
        scores = scores_of(logits)
        return torch.where(scores.isfinite().all(dim=1), auc_of_each(scores, label > 0), torch.nan)

    def _thresholded(self, probability: Tensor, target: Tensor) -> dict[str, Tensor]:
        counts = binary_stat_scores(probability, target, threshold=self.threshold, validate_args=False)
        true_positive, false_positive, true_negative, false_negative, _ = counts.float().unbind()
        wrong = false_positive + false_negative
        return {
            "accuracy": (true_positive + true_negative) / len(target),
            "f1": _share(2 * true_positive, 2 * true_positive + wrong),
            "precision": _share(true_positive, true_positive + false_positive),
            "recall": _share(true_positive, true_positive + false_negative),
        }

    def components(self, name: str) -> Tensor | None:
        """Return what every user's rows add to ``auc``, of all processes; ``None`` for other metrics.

        Rows of a user are no independent draws; without users every row is its own. All processes have to call this.
        """
        if name != "auc":
            return None
        with self.sync_context():
            logit, label = dim_zero_cat(self.logit), dim_zero_cat(self.label)
            # Gathered from processes it is a tensor already.
            user = dim_zero_cat(self.user) if len(self.user) else None
        of_rows = auc_components(self._ranks.of(logit), label > 0.5)
        return of_rows if user is None else over_groups(of_rows, user)

    def _auc(self, logit: Tensor, target: Tensor) -> Tensor:
        self._look_for_two_classes(target)
        return auc(self._ranks.of(logit), target > 0)

    def _look_for_two_classes(self, target: Tensor) -> None:
        if target.min() == target.max():
            self._single_class.warn(rows=len(target), label=int(target[0]))


def _share(part: Tensor, whole: Tensor) -> Tensor:
    """Return the quotient, or 0 if the denominator is."""
    return torch.where(whole > 0, part / whole, 0.0)
