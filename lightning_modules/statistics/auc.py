"""The area under the ROC curve: its standard error, and its value under many weightings of the rows."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from lightning_modules.statistics.ranking import dense_ranks
from lightning_modules.statistics.standard_errors import auc_components


class Ranking:
    """The order of positives among negatives by score; sorted once for any number of row weightings.

    Args:
        score: Scores, of shape [n]; only their order counts.
        label: Labels 0 or 1, of shape [n].

    Raises:
        ValueError: If the two are no vectors of one length.
    """

    def __init__(self, score: Tensor, label: Tensor) -> None:
        _check(score, label)
        self.defined = not bool(score.isnan().any())
        self.positive = (label > 0.5).nonzero().squeeze(1)
        negative = (label <= 0.5).nonzero().squeeze(1)
        ordered, order = score[negative].sort()
        self.negative = negative[order]
        self.below, self.not_above = _places(score[self.positive], ordered)

    def auc(self, weights: Tensor) -> Tensor:
        """Return the AUC of every weighting, ties counted half, exactly as if rows were repeated.

        Args:
            weights: Integer or real weights that are not negative, of shape [B, n].

        Returns:
            float64, of shape [B]; nan where only one class has any weight, and everywhere if a score is nan.
        """
        if not self.defined:
            return weights.new_full((len(weights),), math.nan, dtype=torch.float64)
        # float32 would lose single rows in sums above 2^24.
        negatives = weights.index_select(1, self.negative).cumsum(1, dtype=torch.float64)
        mass = F.pad(negatives, (1, 0))
        positives = weights.index_select(1, self.positive).double()
        beaten = (mass.index_select(1, self.below) + mass.index_select(1, self.not_above)) / 2
        return (positives * beaten).sum(1) / (positives.sum(1) * mass[:, -1])


def weighted_auc(score: Tensor, label: Tensor, weights: Tensor) -> Tensor:
    """Return the AUC under each of B row weightings, ties counted half, exactly as if rows were repeated.

    Args:
        score: Scores, of shape [n].
        label: Labels 0 or 1, of shape [n].
        weights: Integer or real weights that are not negative, of shape [B, n].

    Returns:
        float64, of shape [B]; nan where only one class has any weight, and everywhere if a score is nan.

    Raises:
        ValueError: If score and label are no vectors of one length.
    """
    return Ranking(score, label).auc(weights)


def auc_standard_error(score: Tensor, label: Tensor) -> float:
    """Return the standard error of an AUC over independent rows, that of DeLong et al., Biometrics 1988.

    Args:
        score: Scores, of shape [n].
        label: Labels 0 or 1, of shape [n].

    Returns:
        The standard error; nan if a class has fewer than two rows, whose spread is unknown, or a score is nan.

    Raises:
        ValueError: If score and label are no vectors of one length.
    """
    _check(score, label)
    if not len(score) or bool(score.isnan().any()):
        return math.nan
    return float(auc_components(dense_ranks(score), label > 0.5).norm())


def _places(values: Tensor, ordered: Tensor) -> tuple[Tensor, Tensor]:
    """Count for each value the ordered ones below it, and those not above it."""
    return torch.searchsorted(ordered, values), torch.searchsorted(ordered, values, right=True)


def _check(score: Tensor, label: Tensor) -> None:
    if score.ndim != 1 or score.shape != label.shape:
        raise ValueError(
            f"score has shape {tuple(score.shape)} and label {tuple(label.shape)}, but every row has one score and "
            "one label: pass two vectors of the same length."
        )
