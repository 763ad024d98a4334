"""Pairwise losses: ``prediction`` is the first score minus the second, ``label`` says which item is preferred."""

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from lightning_modules.losses.base import Loss
from lightning_modules.losses.contract import Prediction


class BPR(Loss):
    """Bayesian personalised ranking: ``-log sigmoid((2y - 1) d)`` of the score difference ``d``.

    Rendle et al., UAI 2009, https://arxiv.org/abs/1205.2618; the regularisation term is weight decay. The label
    ``y`` is 1 where the first item is preferred and 0 where the second is; at 0.5, undecided, the gradient is 0.
    """

    wants: ClassVar[Prediction] = "difference"

    def forward(self, prediction: Tensor, label: Tensor) -> Tensor:
        """Return the loss of every pair; ``prediction`` is a score difference."""
        return -F.logsigmoid((2 * label - 1) * prediction)


class RankNetLoss(Loss):
    """RankNet's cross-entropy ``-y d + log(1 + exp(d))`` of the score difference ``d``.

    Burges et al., ICML 2005, https://doi.org/10.1145/1102351.1102363. The label ``y`` is the
    target probability that the first item is preferred: 1, 0, or 0.5 for a tie, which draws the scores together.
    """

    wants: ClassVar[Prediction] = "difference"

    def forward(self, prediction: Tensor, label: Tensor) -> Tensor:
        """Return the loss of every pair; ``prediction`` is a score difference."""
        return F.binary_cross_entropy_with_logits(prediction, label, reduction="none")
