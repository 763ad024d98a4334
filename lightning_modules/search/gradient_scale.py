"""The scale of losses: formulas are multiplied so that their gradient is as large as the baseline's."""

import math
from typing import cast

import torch
from torch import Tensor

from lightning_modules.losses import Formula, ListwiseLoss, Loss, LossObject, ScaledLoss
from lightning_modules.losses.formula_losses import FormulaLike
from lightning_modules.search.loss_gradients import gradient_by_prediction, gradient_by_scores

# Predictions at which gradients are measured, as many as screening looks at.
_PREDICTIONS = 20
_LOWEST, _HIGHEST = 0.1, 0.9
# Cosines of positives and of the negatives of each.
_SCORES, _NEGATIVES = (-0.8, 0.8), 8
# A clamp between makes a larger difference.
_ROUNDING = 0.01


class GradientScale:
    """Multiplies losses by a constant, so that their mean absolute gradient by the prediction is a baseline's.

    Optimizers and weight decays act on the size of a gradient too, which would otherwise decide how well one setting
    suits a loss. The gradient is measured at equidistant predictions between .1 and .9 with both labels; that of losses
    of scores at equidistant cosines of positives, each with eight negatives.

    Args:
        baseline: The baseline.

    Attributes:
        baseline: The baseline.
        size: The size of its gradient.

    Raises:
        ValueError: If the baseline has no gradient of that kind.
    """

    def __init__(self, baseline: LossObject) -> None:
        self.baseline = baseline
        self.size = mean_gradient(baseline)
        if not 0 < self.size < math.inf:
            raise ValueError(
                f"--search.normalize_scale needs a baseline with a gradient, and {baseline.title} has none"
            )

    def scaled(self, loss: FormulaLike) -> FormulaLike:
        """Return a loss with a factor of three figures, or as it is where none makes its gradient the baseline's."""
        factor = self._factor(loss)
        if factor is None:
            return loss
        result = loss.changed(formula=loss.formula.times(factor))
        return result if math.isclose(mean_gradient(result), self.size, rel_tol=_ROUNDING) else loss

    def scaled_reference(self, loss: LossObject) -> LossObject:
        """Return a hand-made pointwise loss times its factor; one of scores, trained without weight decay, as it is."""
        factor = self._factor(loss)
        if factor is None or factor == 1 or not isinstance(loss, Loss):
            return loss
        return ScaledLoss(loss, factor)

    def _factor(self, loss: LossObject) -> float | None:
        size = mean_gradient(loss)
        if not 0 < size < math.inf:
            return None
        factor = float(f"{self.size / size:.3g}")
        return factor if 0 < factor < math.inf else None


def unscaled(formula: Formula) -> Formula:
    """Return the formula that :meth:`GradientScale.scaled` multiplied; one without a factor but 1 as it is."""
    factor, rest = formula.factored()
    return formula if factor in (None, 1) else rest


def mean_gradient(loss: LossObject) -> float:
    """Return the mean absolute derivative of a loss by the prediction, or the positive's score; nan where it is."""
    gradient = _by_score(cast(ListwiseLoss, loss)) if loss.wants == "scores" else _by_prediction(cast(Loss, loss))
    return float(gradient.abs().mean())


def _by_score(loss: ListwiseLoss) -> Tensor:
    positive = torch.linspace(*_SCORES, _PREDICTIONS, dtype=torch.float64)
    negative = torch.linspace(*_SCORES, _NEGATIVES, dtype=torch.float64).expand(_PREDICTIONS, -1)
    by_positive, _ = gradient_by_scores(loss, positive, negative)
    return by_positive


def _by_prediction(loss: Loss) -> Tensor:
    prediction = torch.linspace(_LOWEST, _HIGHEST, _PREDICTIONS, dtype=torch.float64).repeat(2)
    label = torch.arange(2, dtype=torch.float64).repeat_interleave(_PREDICTIONS)
    return gradient_by_prediction(loss, prediction, label)
