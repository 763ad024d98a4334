"""The loss that computes a formula, whatever its dialect."""

from lightning_modules.losses.formula_loss import FormulaLoss
from lightning_modules.losses.formulas.dialect import POINTWISE
from lightning_modules.losses.formulas.formula import Formula
from lightning_modules.losses.formulas.numerics import Numerics
from lightning_modules.losses.ranking_formula_loss import RankingFormulaLoss

#: A loss of a formula of any dialect; both kinds are built of other arguments alike.
FormulaLike = FormulaLoss | RankingFormulaLoss

#: What scores are divided by where a formula asks for it and nobody says otherwise.
DEFAULT_TEMPERATURE = 0.1


def loss_of_formula(
    formula: Formula | str, numerics: Numerics | str = "protected", temperature: float = DEFAULT_TEMPERATURE
) -> FormulaLike:
    """Return the loss that computes a formula, that of its dialect.

    Args:
        formula: The formula or its text.
        numerics: Protection of the operators: ``protected``, ``autolossgen``, or ``eps``, ``low`` and ``high``.
        temperature: Temperature of a formula of scores.

    Raises:
        FormulaError: If the text is not a formula.
        ValueError: If there are no numerics of that name.
    """
    parsed = Formula.parse(formula) if isinstance(formula, str) else formula
    if POINTWISE.has(parsed.names):
        return FormulaLoss(parsed, numerics)
    return RankingFormulaLoss(parsed, numerics, temperature)
