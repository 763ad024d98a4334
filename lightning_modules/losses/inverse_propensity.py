"""Inverse propensity weighting of sequential tasks, such as click and conversion."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightning_modules.losses.base import Loss
from lightning_modules.losses.pointwise import BCE
from lightning_modules.utilities.serialization import Described


class InversePropensity(Described, nn.Module):
    """A term beside the loss of post-click conversions that weighs clicks by their inverse propensity.

    ESCM2-IPS: Wang et al., ESCM2: Entire Space Counterfactual Multi-Task Model for Post-Click Conversion Rate
    Estimation, SIGIR 2022, https://arxiv.org/abs/2204.05125. For click label ``o``, conversion label ``r``, predicted
    click probability ``p`` and predicted probability ``q`` of a conversion given a click, a row's term is::

        weight * o * min(1 / p, max_weight) * loss(q, r)

    Its mean over all rows is an unbiased estimate of the mean loss of ``q`` as if all rows had been clicked, where
    ``p`` is right and above ``1 / max_weight``. ``p`` is detached, so that predicting more clicks does not lower the
    term. In a longer chain of tasks ``o`` is the label of the previous task and ``p`` its predicted probability, the
    product along the chain. The first task has no term.

    Args:
        weight: Factor of the term, >= 0.
        max_weight: Largest inverse propensity, >= 1; it keeps a few rows with a tiny ``p`` from dominating.
        loss: Loss of a conversion given a click; None is binary cross-entropy.

    Raises:
        ValueError: If ``weight`` is negative or ``max_weight`` below 1.
    """

    def __init__(self, weight: float = 1.0, max_weight: float = 20.0, loss: Loss | None = None) -> None:
        super().__init__()
        if not weight >= 0:
            raise ValueError(f"weight must be >= 0, got {weight}")
        if not max_weight >= 1:
            raise ValueError(f"max_weight bounds inverse probabilities, which are at least 1, got {max_weight}")
        self.weight = weight
        self.max_weight = max_weight
        self.loss = BCE() if loss is None else loss

    def check_model(self, model: nn.Module) -> None:
        """Refuse a model that the inner loss cannot train; see :class:`Loss`."""
        self.loss.check_model(model)

    def forward(self, logit: Tensor, label: Tensor) -> Tensor:
        """Return the term of every row and task, which is added to the tasks' losses; that of the first task is 0.

        Args:
            logit: Logits of the conditional probabilities: of a click, of a conversion given a click, and so on, of
                shape [n, tasks].
            label: 0 or 1, of shape [n, tasks]; conversions without a click have no term.

        Returns:
            Float, of shape [n, tasks].
        """
        reached = F.logsigmoid(logit.detach()).cumsum(1)[:, :-1]
        inverse_propensity = torch.exp((-reached).clamp(max=math.log(self.max_weight)))
        term = label[:, :-1] * inverse_propensity * self.loss.from_logit(logit[:, 1:], label[:, 1:])
        return F.pad(self.weight * term, (1, 0))
