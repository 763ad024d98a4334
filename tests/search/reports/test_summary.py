from pathlib import Path

import pandas as pd

from lightning_modules.search.answer import ValidatedFormula, Validation
from lightning_modules.search.events import SearchProgress
from lightning_modules.search.ledger import LEDGER_NAME, Ledger
from lightning_modules.search.reports.summary import FormulasFile, as_table, ranking
from tests.search.observer_helpers import candidate, reference

CANDIDATES = [
    reference("BCE", 0.0),
    candidate(formula="min(pred, label)", simplified="min(label, pred)", reward=-0.1),
    candidate(formula="first of two", simplified="first of two", reward=0.25, round=2),
    candidate(formula="second of two", simplified="second of two", reward=0.25, round=3),
    candidate(formula="broken", simplified="broken", reward=-1.0, metric=None, status="failed", error="ValueError"),
    reference("MSE", 0.1),
]
RANKED = ["first of two", "second of two", "MSE", "BCE", "min(pred, label)", "broken"]


def test_ranking_sorts_by_falling_reward_and_keeps_the_order_of_equals() -> None:
    ranked = ranking(as_table(CANDIDATES))
    assert ranked["formula"].tolist() == RANKED
    assert ranked["rank"].dropna().tolist() == [1, 2, 3, 4]
    assert ranked["rank"].isna().tolist() == [False, False, True, True, False, False]
    assert ranked["reward"].is_monotonic_decreasing


def test_those_that_broke_come_last_and_have_least_whatever_was_trained_later() -> None:
    failed = candidate(formula="broken", reward=-1.0, metric=None, status="non-finite", epochs=9)
    ranked = ranking(as_table([failed, candidate(formula="far", reward=-4.0, epochs=1), reference("BCE", -2.5)]))
    assert ranked["formula"].tolist() == ["far", "BCE", "broken"]
    assert ranked["reward"].iloc[-1] < -4.0


def test_the_formulas_file_is_the_ranking(tmp_path: Path) -> None:
    file = FormulasFile(tmp_path)
    for each in CANDIDATES:
        file.on_candidate(each)
    assert not file.path.exists()
    file.on_end()
    table = pd.read_csv(tmp_path / "formulas.csv")
    assert table["formula"].tolist() == RANKED
    assert table["rank"].dropna().tolist() == [1, 2, 3, 4]
    assert table.columns[:5].tolist() == ["rank", "formula", "reward", "standard_error", "status"]
    assert table["reward"].tolist() == [0.25, 0.25, 0.1, 0.0, -0.1, -1.0]
    assert table["metric"].isna().tolist() == [False] * 5 + [True]


def validation(formula: str) -> Validation:
    return Validation(3, "BCE", 0.7, (ValidatedFormula(formula, 0.01, 0.001, is_answer=True),))


def answers(root: Path) -> list[str]:
    table = pd.read_csv(root / "formulas.csv")
    return [str(formula) for formula in table.loc[table["is_answer"], "formula"]]


def test_the_answer_stays_when_a_search_that_went_on_is_interrupted(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    for each in CANDIDATES:
        ledger.on_candidate(each)
    ledger.on_validation(validation("second of two"))
    ledger.close()
    for newest, expected in ((None, "second of two"), (validation("first of two"), "first of two")):
        file = FormulasFile(tmp_path)
        file.on_resume(SearchProgress(0, 3, tuple(CANDIDATES)))
        if newest is not None:
            file.on_validation(newest)
        file.on_end()
        assert answers(tmp_path) == [expected]


def test_a_ledger_that_cannot_be_read_leaves_the_ranking(tmp_path: Path) -> None:
    (tmp_path / LEDGER_NAME).write_bytes(b"no ledger at all" * 100)
    file = FormulasFile(tmp_path)
    file.on_candidate(CANDIDATES[2])
    file.on_end()
    assert pd.read_csv(tmp_path / "formulas.csv")["formula"].tolist() == ["first of two"]


def test_a_study_without_candidates_has_an_empty_file(tmp_path: Path) -> None:
    FormulasFile(tmp_path).on_end()
    assert len(pd.read_csv(tmp_path / "formulas.csv")) == 0
