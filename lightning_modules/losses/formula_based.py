"""What losses of every dialect that compute a formula have in common."""

import math
from dataclasses import asdict, replace
from typing import Any, ClassVar, Self

from torch import nn

from lightning_modules.losses.contract import MisfitError
from lightning_modules.losses.formulas.dialect import Dialect
from lightning_modules.losses.formulas.formula import Formula
from lightning_modules.losses.formulas.nodes import FormulaError
from lightning_modules.losses.formulas.numerics import Numerics
from lightning_modules.losses.loss_object import LossObject
from lightning_modules.utilities.messages import shortened

_SHOWN = 100


class FormulaBased(LossObject):
    """A loss that computes a formula.

    Attributes:
        dialect: The dialect of its formulas.
        formula: The formula.
        numerics: Protection of the operators.
    """

    dialect: ClassVar[Dialect]
    formula: Formula
    numerics: Numerics

    def keep_formula(self, formula: Formula | str, numerics: Numerics | str) -> None:
        """Take over the formula and its numerics.

        Raises:
            FormulaError: If the text is not a formula, or it is one of another kind of loss.
            ValueError: If there are no numerics of that name.
        """
        self.formula = Formula.parse(formula) if isinstance(formula, str) else formula
        if not self.dialect.has(self.formula.names):
            known = ", ".join(self.dialect.variables)
            raise FormulaError(
                f"'{shortened(self.title, _SHOWN)}' is a formula of the {self.formula.dialect.name} dialect, and "
                f"{type(self).__name__} computes formulas of {known}"
            )
        self.numerics = Numerics.named(numerics) if isinstance(numerics, str) else numerics

    @property
    def has_gradient(self) -> bool:
        """Whether the formula, as it is written, has a gradient by what the model predicts."""
        return self.formula.has_gradient

    def check_model(self, model: nn.Module) -> None:
        """Refuse a formula that does not depend on the prediction, and a model as :class:`LossObject` does.

        Raises:
            MisfitError: If the formula, as written or simplified, has no gradient, or the model does not fit.
        """
        super().check_model(model)
        simplified = self.formula.simplify() if self.has_gradient else self.formula
        if not simplified.has_gradient:
            equal = "" if simplified == self.formula else f", which is {simplified},"
            raise MisfitError(
                f"nothing can be trained on the formula {self.title}{equal} as {self.dialect.advice}, "
                f"for instance {self.dialect.example}"
            )

    @property
    def title(self) -> str:
        """The formula's text."""
        return str(self.formula)

    @property
    def identity(self) -> str:
        """The formula's text, followed by the numerics if they are not the default."""
        return self._with_numerics(self.title)

    @property
    def shown(self) -> str:
        """The formula's shortest text, followed by the numerics if they are not the default."""
        return self._with_numerics(self.formula.shortest())

    def _with_numerics(self, text: str) -> str:
        return text if self.numerics == Numerics() else f"{text} with {self.numerics}"

    @property
    def simplified(self) -> str:
        """The text of the simplified formula."""
        return str(self.formula.simplify())

    @property
    def latex(self) -> str:
        """The formula as LaTeX, without simplification."""
        return self.formula.latex()

    def unclamped(self) -> Self:
        """Return the loss of the same formula and ``eps`` without the clamp after every operator."""
        return self.changed(numerics=replace(self.numerics, low=-math.inf, high=math.inf))

    def changed(self, **arguments: Any) -> Self:
        """Return the loss with other arguments."""
        own = {**self.init_args(), "formula": self.formula, "numerics": self.numerics}
        return type(self)(**(own | arguments))

    def init_args(self) -> dict[str, Any]:
        """Return the formula's text, the numerics and all else as plain values."""
        return {"formula": str(self.formula), "numerics": asdict(self.numerics)}

    def extra_repr(self) -> str:
        """Show the formula and its numerics when the module is printed."""
        return f"{self.formula}, {self.numerics}"
