"""The validation check: properties of a loss that are computed without training."""

from lightning_modules.check.checking import checked
from lightning_modules.check.formula_file import FormulaFile, read_formulas
from lightning_modules.check.properties import CheckResult, check_loss
from lightning_modules.check.score_properties import ScoreCheckResult, check_scores

__all__ = ["CheckResult", "FormulaFile", "ScoreCheckResult", "check_loss", "check_scores", "checked", "read_formulas"]
