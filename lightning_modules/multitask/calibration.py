"""Predicted probabilities against observed shares of label 1."""

from typing import NamedTuple

import torch
from torch import Tensor


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
