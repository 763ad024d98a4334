"""The limit to the gradient of a formula: how steep it may be, and that it is finite for every prediction."""

import torch
from torch import Tensor

from lightning_modules.losses.formulas.numerics import Numerics
from lightning_modules.search.program_gradients import evaluate
from lightning_modules.search.space import Programs, SearchSpace

#: Predictions of the grid between .1 and .9. One is next to any pole there, and not on it, at less than .001, where the
#: derivatives of log(x) and 1 / x are above 1,000.
_INNER = 901
#: Predictions of the grid from about 6e-8 to 1 - 6e-8, the last number of single precision below 1.
_OUTER, _LAST_LOGIT = 81, 16.6


class GradientLimit:
    """Tells which programs are too steep to be trained.

    They are if their derivative by the prediction is larger than the limit anywhere between .1 and .9, or not finite in
    single precision, in which models are trained, anywhere between 0 and 1. Close to 0 and 1 good losses are steep too.

    Args:
        space: The search space.
        numerics: Numeric protection of each node.
        largest: The limit.
    """

    def __init__(self, space: SearchSpace, numerics: Numerics, largest: float) -> None:
        self.space = space
        self.numerics = numerics
        self.largest = largest
        inner = torch.linspace(0.1, 0.9, _INNER, dtype=torch.float64)
        outer = torch.linspace(-_LAST_LOGIT, _LAST_LOGIT, _OUTER, dtype=torch.float64).sigmoid()
        pred = torch.cat([inner, outer]).float()
        self._pred = pred.repeat(2)
        self._label = torch.cat([torch.zeros_like(pred), torch.ones_like(pred)])
        self._inner = torch.cat([torch.arange(_INNER), len(pred) + torch.arange(_INNER)])

    def exceeded(self, programs: Programs) -> Tensor:
        """Return which programs are too steep, bool ``[count]``."""
        gradient = evaluate(programs, self.space, self._pred, self._label, self.numerics).gradient
        return ~gradient.isfinite().all(1) | (gradient[:, self._inner].abs().amax(1) > self.largest)
