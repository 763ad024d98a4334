"""The front of a search: the best formula for every number of operators."""

from contextlib import suppress

import pandas as pd

from lightning_modules.losses import Formula, FormulaError


def front(ranked: pd.DataFrame) -> pd.DataFrame:
    """Return the formulas than which none with as few operators has as high a reward, from the shortest to the best.

    It is the Pareto front of reward against complexity, as symbolic regression shows it (Cranmer, "Interpretable
    machine learning for science with PySR and SymbolicRegression.jl", 2023, https://arxiv.org/abs/2305.01582). Only
    trained formulas of the longest budget are on it, since rewards of different budgets do not compare.

    Args:
        ranked: Losses in the order of their ranks, with the column ``operators``.
    """
    found = ranked[(ranked["kind"] == "candidate") & (ranked["status"] == "trained") & ranked["operators"].notna()]
    found = found[found["epochs"] == found["epochs"].max()]
    found = found.sort_values(["reward", "operators"], ascending=[False, True], kind="stable")
    shorter = found["operators"] < found["operators"].cummin().shift(fill_value=found["operators"].max() + 1)
    return found[shorter][::-1]


def with_operators(losses: pd.DataFrame) -> pd.DataFrame:
    """Return a table of losses in which every formula has its number of operators, which earlier versions did not keep.

    A formula that cannot be read has none.
    """
    operators = losses["operators"] if "operators" in losses else pd.Series(pd.NA, losses.index)
    operators = operators.astype("Int64")
    missing = losses["formula"].where((losses["kind"] == "candidate") & operators.isna()).dropna()
    counted = missing.map({formula: _num_operators(formula) for formula in missing.unique()})
    return losses.assign(operators=operators.fillna(counted.astype("Int64")))


def _num_operators(formula: str) -> int | None:
    with suppress(FormulaError):
        return Formula.parse(formula).num_operators
    return None
