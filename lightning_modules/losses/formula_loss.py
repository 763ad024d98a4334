"""The pointwise loss that computes a formula."""

from typing import ClassVar

from torch import Tensor

from lightning_modules.losses.base import Loss
from lightning_modules.losses.formula_based import FormulaBased
from lightning_modules.losses.formulas.dialect import POINTWISE, Dialect
from lightning_modules.losses.formulas.formula import Formula
from lightning_modules.losses.formulas.numerics import Numerics


class FormulaLoss(FormulaBased, Loss):
    """The value of a formula of the predicted probability and the label, such as ``-label * log(pred)``.

    Args:
        formula: The formula or its text.
        numerics: Protection of the operators: ``protected``, ``autolossgen``, or ``eps``, ``low`` and ``high``.

    Raises:
        FormulaError: If the text is not a formula, or it is one of scores.
        ValueError: If there are no numerics of that name.
    """

    dialect: ClassVar[Dialect] = POINTWISE

    def __init__(self, formula: Formula | str, numerics: Numerics | str = "protected") -> None:
        super().__init__()
        self.keep_formula(formula, numerics)

    def forward(self, prediction: Tensor, label: Tensor) -> Tensor:
        """Return the formula's value for every sample."""
        value = self.formula.evaluate(prediction, label, self.numerics)
        # Training calls backward, which needs a value that depends on the prediction.
        return value if self.has_gradient else value + 0 * prediction
