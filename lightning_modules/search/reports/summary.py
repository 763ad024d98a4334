"""The results of a study as a ranking, and formulas.csv, which holds it."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from lightning_modules.losses import Formula, FormulaError
from lightning_modules.search.answer import ValidatedFormula, Validation
from lightning_modules.search.events import Candidate, SearchObserver, SearchProgress
from lightning_modules.search.front import with_operators
from lightning_modules.search.ledger import read_validated
from lightning_modules.search.rewards import with_failure_rewards
from lightning_modules.utilities.files import replace_file

#: Name of the ranking inside a study's folder.
TABLE_NAME = "formulas.csv"

_COLUMNS = [
    "rank",
    "formula",
    "reward",
    "standard_error",
    "status",
    "operators",
    "round",
    "seconds",
    "kind",
    "metric",
    "right_share",
    "simplified",
    "epochs",
    "learning_rate",
    "weight_decay",
    "temperature",
    "best_epoch",
    "validated",
    "validated_se",
    "is_answer",
]


def ranking(losses: pd.DataFrame) -> pd.DataFrame:
    """Sort trained losses by falling reward and number the formulas among them from 1.

    A longer budget goes before a higher reward, since rewards of different budgets do not compare. Failed losses come
    last. Equal rewards keep the order of training; hand-made losses have no rank.
    """
    table = losses.drop(columns="rank", errors="ignore")
    table = table.assign(trained=table["status"] == "trained" if "status" in table else True)
    order = [name for name in ("trained", "epochs", "reward") if name in table]
    table = table.sort_values(order, ascending=False, kind="stable").drop(columns="trained").reset_index(drop=True)
    is_formula = table["kind"] == "candidate"
    table.insert(0, "rank", is_formula.cumsum().where(is_formula).astype("Int64"))
    return table


def as_table(candidates: Sequence[Candidate]) -> pd.DataFrame:
    """Return a table with one row per candidate."""
    rows = [asdict(candidate) for candidate in candidates]
    return with_operators(with_failure_rewards(pd.DataFrame(rows, columns=list(Candidate.__annotations__))))


def with_validation(losses: pd.DataFrame, formulas: Sequence[ValidatedFormula]) -> pd.DataFrame:
    """Return a table of losses with what became of the finalists: ``validated`` and so on.

    A finalist whose training failed has no value there.
    """
    names = losses["formula"].where(losses["kind"] == "candidate")
    return losses.assign(
        validated=names.map({each.formula: each.difference for each in formulas}).astype(float),
        validated_se=names.map({each.formula: each.standard_error for each in formulas}).astype(float),
        validated_temperature=names.map({each.formula: each.temperature for each in formulas}).astype(float),
        is_finalist=names.isin([each.formula for each in formulas]),
        is_answer=names.isin([each.formula for each in formulas if each.is_answer]),
    )


class FormulasFile(SearchObserver):
    """Writes ``formulas.csv``, all losses sorted by reward, when a search ends, successful or not.

    Args:
        root: The study's folder.
    """

    def __init__(self, root: Path) -> None:
        self.path = root / TABLE_NAME
        self._candidates: list[Candidate] = []
        self._validated: Sequence[ValidatedFormula] = ()

    def on_resume(self, progress: SearchProgress) -> None:
        """Keep the candidates of finished rounds."""
        self._candidates.extend(progress.candidates)

    def on_candidate(self, candidate: Candidate) -> None:
        """Keep the candidate."""
        self._candidates.append(candidate)

    def on_validation(self, validation: Validation) -> None:
        """Keep what became of the finalists."""
        self._validated = validation.formulas

    def on_end(self) -> None:
        """Write the file."""
        validated = self._validated or self._validated_before()
        table = with_validation(ranking(as_table(self._candidates)), validated)[_COLUMNS]
        replace_file(self.path, lambda path: table.to_csv(path, index=False))

    def _validated_before(self) -> Sequence[ValidatedFormula]:
        """Return what the ledger holds, since a search that is continued may end before its finalists are compared."""
        # The ranking is of use without it, and the search tells of a ledger that cannot be read.
        with suppress(FileNotFoundError, ValueError):
            return read_validated(self.path.parent)
        return ()


def reward_words(reward: float, standard_error: float | None) -> str:
    """Return a reward as text, with its standard error in parentheses if it has one."""
    return f"{reward:+.4f}" if pd.isna(standard_error) else f"{reward:+.4f} ({standard_error:.4f})"


def shortest(formula: str, simplified: str) -> str:
    """Return the shortest text of a formula, given as it was trained and as it was simplified."""
    # A formula may be too long for the parser.
    with suppress(FormulaError):
        return Formula.parse(formula).shortest()
    return min(formula, simplified, key=len)
