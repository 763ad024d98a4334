"""Pointwise losses, the baselines of a found formula.

MaxR, SumR and LogMin were found by AutoLossGen (Li et al., SIGIR 2022, https://arxiv.org/abs/2204.13160).
"""

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from lightning_modules.losses.base import Loss
from lightning_modules.losses.contract import Prediction
from lightning_modules.losses.loss_object import above_zero


class BCE(Loss):
    """Binary cross-entropy ``-y log p - (1 - y) log(1 - p)`` with ``p = sigmoid(logit)``, computed stably."""

    wants: ClassVar[Prediction] = "logit"

    def forward(self, prediction: Tensor, label: Tensor) -> Tensor:
        """Return the loss of every sample; ``prediction`` is a logit."""
        return F.binary_cross_entropy_with_logits(prediction, label, reduction="none")


class MSE(Loss):
    """Squared error ``(p - y)**2`` of the probability, also known as the Brier score."""

    def forward(self, prediction: Tensor, label: Tensor) -> Tensor:
        """Return the loss of every sample; ``prediction`` is a probability."""
        return (prediction - label).square()


class Hinge(Loss):
    """Hinge loss ``max(0, margin - (2y - 1) z)`` of the logit ``z``.

    Args:
        margin: Logit beyond which a right prediction has no loss, > 0.
    """

    wants: ClassVar[Prediction] = "logit"

    def __init__(self, margin: float = 1.0) -> None:
        super().__init__()
        self.margin = above_zero("margin", margin)

    def forward(self, prediction: Tensor, label: Tensor) -> Tensor:
        """Return the loss of every sample; ``prediction`` is a logit."""
        return F.relu(self.margin - (2 * label - 1) * prediction)


class Focal(Loss):
    """Focal loss ``-(1 - p_t)**gamma log p_t``, where ``p_t`` is the probability given to the label.

    Lin et al., ICCV 2017, https://arxiv.org/abs/1708.02002, without the class weight alpha. For soft labels, the losses
    of labels 1 and 0 are averaged with the label as weight.

    Args:
        gamma: Focusing parameter, >= 0; 0 gives binary cross-entropy.
    """

    wants: ClassVar[Prediction] = "logit"

    def __init__(self, gamma: float = 2.0) -> None:
        super().__init__()
        self.gamma = above_zero("gamma", gamma, or_zero=True)

    def forward(self, prediction: Tensor, label: Tensor) -> Tensor:
        """Return the loss of every sample; ``prediction`` is a logit."""
        return label * self._of_positive(prediction) + (1 - label) * self._of_positive(-prediction)

    def _of_positive(self, logit: Tensor) -> Tensor:
        # In logarithms, because the gradient of a power is not finite where 1 - p_t rounds to 0.
        return -torch.exp(self.gamma * F.logsigmoid(-logit)) * F.logsigmoid(logit)


class LabelSmoothing(Loss):
    """Binary cross-entropy with the label ``(1 - s) y + s / 2``, so that no finite logit is too certain.

    Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", CVPR 2016,
    https://arxiv.org/abs/1512.00567.

    Args:
        smoothing: The share ``s`` of every label that both classes divide, in [0, 1); 0 gives binary cross-entropy.

    Raises:
        ValueError: If the share is out of its range.
    """

    wants: ClassVar[Prediction] = "logit"

    def __init__(self, smoothing: float = 0.1) -> None:
        super().__init__()
        if not 0 <= smoothing < 1:
            raise ValueError(f"smoothing must be in [0, 1), where 1 would forget the labels, got {smoothing}")
        self.smoothing = smoothing

    def forward(self, prediction: Tensor, label: Tensor) -> Tensor:
        """Return the loss of every sample; ``prediction`` is a logit."""
        smooth = (1 - self.smoothing) * label + self.smoothing / 2
        return F.binary_cross_entropy_with_logits(prediction, smooth, reduction="none")


class MaxR(Loss):
    """``max((y + s) / (p + s), (p + s) / (y + s))``, the larger ratio of label and probability.

    Args:
        smoothing: The ``s`` that keeps the ratios finite, > 0.
    """

    def __init__(self, smoothing: float = 1e-6) -> None:
        super().__init__()
        self.smoothing = above_zero("smoothing", smoothing)

    def forward(self, prediction: Tensor, label: Tensor) -> Tensor:
        """Return the loss of every sample; ``prediction`` is a probability."""
        smooth_prediction, smooth_label = prediction + self.smoothing, label + self.smoothing
        return torch.maximum(smooth_label / smooth_prediction, smooth_prediction / smooth_label)


class SumR(Loss):
    """``(y + p + s) / (y p + s)``, the sum of label and probability over their product.

    Args:
        smoothing: The ``s`` that keeps the ratio finite, > 0.
    """

    def __init__(self, smoothing: float = 1e-6) -> None:
        super().__init__()
        self.smoothing = above_zero("smoothing", smoothing)

    def forward(self, prediction: Tensor, label: Tensor) -> Tensor:
        """Return the loss of every sample; ``prediction`` is a probability."""
        return (label + prediction + self.smoothing) / (label * prediction + self.smoothing)


class LogMin(Loss):
    """``log(1 / (min(y, p) + s) + s) * (min(y, p) + y + p)``.

    Args:
        smoothing: The ``s`` that keeps the logarithm finite, > 0.
    """

    def __init__(self, smoothing: float = 1e-6) -> None:
        super().__init__()
        self.smoothing = above_zero("smoothing", smoothing)

    def forward(self, prediction: Tensor, label: Tensor) -> Tensor:
        """Return the loss of every sample; ``prediction`` is a probability."""
        smaller = torch.minimum(label, prediction)
        logarithm = torch.log(1 / (smaller + self.smoothing) + self.smoothing)
        return logarithm * (smaller + label + prediction)


class ScaledLoss(Loss):
    """Another pointwise loss times a constant, which matters to optimizers with weight decay or gradient clipping.

    Args:
        loss: The loss.
        factor: The constant, > 0.
    """

    def __init__(self, loss: Loss, factor: float) -> None:
        super().__init__()
        self.wants = loss.wants  # type: ignore[misc]  # only this class takes the kind of another loss
        self.loss = loss
        self.factor = above_zero("factor", factor)

    def forward(self, prediction: Tensor, label: Tensor) -> Tensor:
        """Return the loss of every sample; ``prediction`` is of the kind that the other loss wants."""
        values: Tensor = self.factor * self.loss(prediction, label)
        return values
