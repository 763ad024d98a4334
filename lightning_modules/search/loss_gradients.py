"""Derivatives of losses, whether they are formulas or not, at given predictions or scores."""

import torch
from torch import Tensor

from lightning_modules.losses import ListwiseLoss, Loss
from lightning_modules.losses.score_curves import of_scores


def gradient_by_prediction(loss: Loss, prediction: Tensor, label: Tensor) -> Tensor:
    """Return the derivative of every sample's loss by its predicted probability: float [n], [n] -> [n]."""
    prediction = prediction.detach().requires_grad_()
    with torch.enable_grad():
        # Some losses want logits, and gradients are compared by the probability.
        value = loss.from_logit(torch.logit(prediction), label)
        (gradient,) = torch.autograd.grad(value.sum(), prediction)
    return gradient


def gradient_by_scores(loss: ListwiseLoss, positive: Tensor, negative: Tensor) -> tuple[Tensor, Tensor]:
    """Return the derivatives of every row's loss by its scores, 0 of what a loss takes beside them.

    Args:
        loss: The loss; what it knows of users and items is that of :func:`.score_curves.of_scores`.
        positive: Scores of positives, float [n].
        negative: Scores of each one's negatives, float [n, N].

    Returns:
        Float [n] and [n, N].
    """
    scores = positive.detach().requires_grad_(), negative.detach().requires_grad_()
    with torch.enable_grad():
        by_positive, by_negative = torch.autograd.grad(of_scores(loss)(*scores).sum(), scores)
    return by_positive, by_negative
