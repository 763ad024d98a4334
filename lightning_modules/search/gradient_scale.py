"""The scale of losses: formulas are multiplied so that their gradient is as large as the baseline's."""

import math

import torch

from lightning_modules.losses import FormulaLoss, Loss

# Predictions at which gradients are measured, as many as screening looks at.
_PREDICTIONS = 20
_LOWEST, _HIGHEST = 0.1, 0.9
# A clamp between makes a larger difference.
_ROUNDING = 0.01


class GradientScale:
    """Multiplies losses by a constant, so that their mean absolute gradient by the prediction is a baseline's.

    Optimizers and weight decays act on the size of a gradient too, which would otherwise decide how well one setting
    suits a loss. The gradient is measured at equidistant predictions between .1 and .9 with both labels.

    Args:
        baseline: The baseline.

    Raises:
        ValueError: If the baseline has no gradient of that kind.
    """

    def __init__(self, baseline: Loss) -> None:
        self.size = mean_gradient(baseline)
        if not 0 < self.size < math.inf:
            raise ValueError(
                f"--search.normalize_scale needs a baseline with a gradient, and {baseline.title} has none"
            )

    def scaled(self, loss: FormulaLoss) -> FormulaLoss:
        """Return a loss with a factor of three figures, or as it is where none makes its gradient the baseline's."""
        size = mean_gradient(loss)
        if not 0 < size < math.inf:
            return loss
        factor = float(f"{self.size / size:.3g}")
        if not 0 < factor < math.inf:
            return loss
        result = FormulaLoss(loss.formula.times(factor), loss.numerics)
        return result if math.isclose(mean_gradient(result), self.size, rel_tol=_ROUNDING) else loss


def mean_gradient(loss: Loss) -> float:
    """Return the mean absolute derivative of a loss by the prediction; nan or infinite where it is."""
    prediction = torch.linspace(_LOWEST, _HIGHEST, _PREDICTIONS, dtype=torch.float64).repeat(2).requires_grad_()
    label = torch.arange(2, dtype=torch.float64).repeat_interleave(_PREDICTIONS)
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(loss(prediction, label).sum(), prediction)
    return float(gradient.abs().mean())
