"""Values and derivatives of a loss over the prediction, for each label."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_modules.losses import Loss

#: Losses are evaluated at predictions from this one to 1 minus it.
LOWEST_PRED = 1e-6


@dataclass(frozen=True)
class Curves:
    """A loss and its derivatives at some predictions; row 0 belongs to label 0, row 1 to label 1.

    Attributes:
        logit: The predictions as logits, ``[points]``.
        value: The loss, ``[2, points]``.
        by_logit: Its derivative by the logit, ``[2, points]``.
    """

    logit: Tensor
    value: Tensor
    by_logit: Tensor

    @property
    def by_pred(self) -> Tensor:
        """The derivative by the predicted probability, ``[2, points]``, where that is neither 0 nor 1."""
        pred = torch.sigmoid(self.logit)
        return self.by_logit / (pred * (1 - pred))

    @property
    def is_finite(self) -> bool:
        """Whether every value and every derivative by the logit is a finite number."""
        return bool(self.value.isfinite().all() and self.by_logit.isfinite().all())


def curves_over_pred(loss: Loss, pred: Tensor) -> Curves:
    """Return the curves at probabilities strictly between 0 and 1, floating point ``[points]``."""
    return curves_over_logit(loss, torch.logit(pred))


def curves_over_logit(loss: Loss, logit: Tensor) -> Curves:
    """Return the curves at logits, floating point ``[points]``, computed in their type."""
    given = logit.expand(2, -1).clone().requires_grad_()
    value = loss.from_logit(given, labels_like(given))
    (by_logit,) = torch.autograd.grad(value.sum(), given)
    return Curves(logit, value.detach(), by_logit)


@torch.no_grad()
def values(loss: Loss, pred: Tensor) -> Tensor:
    """Return the loss for label 0 and 1 at probabilities strictly between 0 and 1: ``[2, *pred.shape]``."""
    logit = torch.logit(pred).expand(2, *pred.shape)
    return loss.from_logit(logit, labels_like(logit))


def labels_like(predictions: Tensor) -> Tensor:
    """Return label 0 for the first and label 1 for the second row, in the shape and type of ``predictions``."""
    label = torch.zeros_like(predictions)
    label[1] = 1
    return label


def pred_grid(points: int) -> Tensor:
    """Return rising probabilities, both ends included, that are dense everywhere and densest near 0 and 1, float64.

    Args:
        points: This many stand at equal distances, and as many at equal distances of the logit.
    """
    uniform = torch.linspace(LOWEST_PRED, 1 - LOWEST_PRED, points, dtype=torch.float64)
    highest_logit = math.log((1 - LOWEST_PRED) / LOWEST_PRED)
    at_logits = torch.sigmoid(torch.linspace(-highest_logit, highest_logit, points, dtype=torch.float64))
    grid: Tensor = torch.cat([uniform, at_logits.clamp(LOWEST_PRED, 1 - LOWEST_PRED)]).unique()
    return grid
