"""The loss that computes a formula."""

import math
from dataclasses import asdict, replace
from typing import Any

from torch import Tensor, nn

from lightning_modules.losses.base import Loss
from lightning_modules.losses.contract import MisfitError
from lightning_modules.losses.formulas.formula import Formula
from lightning_modules.losses.formulas.numerics import Numerics


class FormulaLoss(Loss):
    """The value of a formula of the predicted probability and the label, such as ``-label * log(pred)``.

    Args:
        formula: The formula or its text.
        numerics: Protection of the operators: ``protected``, ``autolossgen``, or ``eps``, ``low`` and ``high``.

    Raises:
        FormulaError: If the text is not a formula.
        ValueError: If there are no numerics of that name.
    """

    def __init__(self, formula: Formula | str, numerics: Numerics | str = "protected") -> None:
        super().__init__()
        self.formula = Formula.parse(formula) if isinstance(formula, str) else formula
        self.numerics = Numerics.named(numerics) if isinstance(numerics, str) else numerics

    def forward(self, prediction: Tensor, label: Tensor) -> Tensor:
        """Return the formula's value for every sample."""
        value = self.formula.evaluate(prediction, label, self.numerics)
        # Training calls backward, which needs a value that depends on the prediction.
        return value if "pred" in self.formula.variables else value + 0 * prediction

    def check_model(self, model: nn.Module) -> None:
        """Refuse a formula that does not depend on the prediction, and a model as :class:`Loss` does.

        Raises:
            MisfitError: If the formula has no ``pred``, as written or simplified, or the model does not fit.
        """
        super().check_model(model)
        simplified = self.formula.simplify() if "pred" in self.formula.variables else self.formula
        if "pred" not in simplified.variables:
            equal = "" if simplified == self.formula else f", which is {simplified},"
            raise MisfitError(
                f"nothing can be trained on the formula {self.title}{equal} as it has no prediction in it: write "
                "pred where the predicted probability stands, for instance (label - pred)**2"
            )

    @property
    def title(self) -> str:
        """The formula's text."""
        return str(self.formula)

    @property
    def identity(self) -> str:
        """The formula's text, followed by the numerics if they are not the default."""
        return self.title if self.numerics == Numerics() else f"{self.title} with {self.numerics}"

    @property
    def simplified(self) -> str:
        """The text of the simplified formula."""
        return str(self.formula.simplify())

    @property
    def latex(self) -> str:
        """The formula as LaTeX, without simplification."""
        return self.formula.latex()

    def unclamped(self) -> "FormulaLoss":
        """Return the loss of the same formula and ``eps`` without the clamp after every operator."""
        return FormulaLoss(self.formula, replace(self.numerics, low=-math.inf, high=math.inf))

    def init_args(self) -> dict[str, Any]:
        """Return the formula's text and the numerics as plain values."""
        return {"formula": str(self.formula), "numerics": asdict(self.numerics)}

    def extra_repr(self) -> str:
        """Show the formula and its numerics when the module is printed."""
        return f"{self.formula}, {self.numerics}"
