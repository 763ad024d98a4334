"""The validation check: properties of a loss that are computed without training."""

from lightning_modules.check.formula_file import FormulaFile, read_formulas
from lightning_modules.check.properties import CheckResult, check_loss

__all__ = ["CheckResult", "FormulaFile", "check_loss", "read_formulas"]
