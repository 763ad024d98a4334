import sqlite3
import time
from pathlib import Path

import pandas as pd
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lightning_modules.check import read_formulas
from lightning_modules.check.command import run_check
from lightning_modules.check.settings import CheckSettings
from lightning_modules.losses import BCE, MSE, Focal, FormulaLoss
from lightning_modules.search.ledger import Ledger
from lightning_modules.search.reports.summary import shortest
from tests.search.observer_helpers import reference

BEST_FIRST = ["abs(label - pred)", "(label - pred)**2", "pred * label"]


def figures(folder: Path) -> list[str]:
    events = EventAccumulator(str(folder / "check"), size_guidance={"images": 0})
    events.Reload()
    return sorted(events.Tags()["images"])


def test_a_study_is_checked_best_first(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = run_check(CheckSettings(run=str(study)), seed=1)
    written = pd.read_csv(study / "check.csv", keep_default_na=False)
    assert written["formula"].tolist() == table["formula"].tolist() == BEST_FIRST
    assert written.columns[0] == "formula"
    assert written.columns[-1] == "rank"
    assert written["rank"].tolist() == [1, 2, 3]
    # For label 1 the product rises, and for label 0 it is 0.
    assert written["keep"].tolist() == [True, True, False]
    assert written["right_share"].tolist() == [1, 1, 0]
    assert written["proper"].tolist() == ["no", "yes", "no"]
    assert figures(study) == ["survivors/1", "survivors/2"]
    told = capsys.readouterr().out
    assert "is unfinished: 1 of 2 rounds, 3 trained candidates" in " ".join(told.split())
    assert str(study / "check.csv") in told
    assert "Kept: 2 of 3." in told


def test_what_is_kept_without_keeping_the_order_is_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bent, dropped = "(label - pred)**2 * (pred - 1.1)**2", "max(label / pred, pred / label)"
    formulas = ["(label - pred)**2", bent, dropped]
    table = run_check(CheckSettings(formulas=formulas, root=str(tmp_path), figures=0), seed=1)
    assert table[["keep", "keeps_order"]].to_numpy().tolist() == [[True, "strictly"], [True, "no"], [False, "no"]]
    told = capsys.readouterr().out
    assert "Warning: keeps_order is no for 1 of those, " in told
    assert f"wrong for ranking: {shortest(bent, bent)}." in told
    run_check(CheckSettings(formulas=formulas[::2], root=str(tmp_path), figures=0), seed=1)
    assert "Warning" not in capsys.readouterr().out


def test_a_formula_has_the_text_that_the_search_shows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    formulas = {
        "2 * (log(1 / min(pred, label)) + pred)": "2 * (pred - log(min(pred, label)))",
        "0.415 * (identity(label / pred) + (pred**2 + pred))": "0.415 * (label / pred + pred + pred**2)",
    }
    table = run_check(CheckSettings(formulas=[*formulas], root=str(tmp_path), figures=0), seed=1)
    assert table["formula"].tolist() == [*formulas]
    assert table["simplified"].tolist() == [*formulas.values()] == [shortest(text, text) for text in formulas]
    told = capsys.readouterr().out
    assert all(f"formula {number}: {text}\n" in told for number, text in enumerate(formulas.values(), 1))


def test_right_signs_of_a_search_are_told_apart_from_those_of_screening(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_check(CheckSettings(run=str(study), figures=0), seed=1)
    assert "what the search calls right in screening is another share" in capsys.readouterr().out
    run_check(CheckSettings(formulas=["pred * label"], root=str(tmp_path / "alone"), figures=0), seed=1)
    assert "screening" not in capsys.readouterr().out


def test_a_search_that_has_trained_nothing_yet_is_to_be_continued(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.on_candidate(reference("BCE", 0.0))
    ledger.on_end()
    config = tmp_path / "config.yaml"
    for rounds, reason in (
        (6, "is unfinished: 0 of 6 rounds, 0 trained candidates; the command of its search, given again, continues it"),
        (0, "holds no trained formula"),
    ):
        config.write_text(f"search: {{strategy: PPO, rounds: {rounds}}}")
        with pytest.raises(ValueError, match="there is no formula to check") as error:
            run_check(CheckSettings(run=str(tmp_path)), seed=1)
        assert str(error.value) == f"there is no formula to check; '{tmp_path}' {reason}"


def test_the_numerics_of_the_study_unless_others_are_named(study: Path) -> None:
    # The study's clamp at 2 cuts the pole off, so that the largest slope is 4 of 1 / p at p = 0.5.
    options = {"run": str(study), "formulas": ["label / pred"], "top": 1, "figures": 0}
    own = run_check(CheckSettings(**options), seed=1)
    assert own["max_gradient"].iloc[1] == pytest.approx(4, rel=0.01)
    named = run_check(CheckSettings(**options, numerics="protected"), seed=1)
    assert named["max_gradient"].iloc[1] > 1e8


def test_the_best_of_a_study_and_its_formula_by_rank(study: Path, tmp_path: Path) -> None:
    settings = CheckSettings(run=str(study), formulas=[f"{study}#2"], top=1, root=str(tmp_path / "other"), figures=1)
    table = run_check(settings, seed=1)
    assert table["formula"].tolist() == BEST_FIRST[:2]
    assert table["rank"].isna().tolist() == [False, True]
    assert (tmp_path / "other" / "check.csv").is_file()
    assert not (study / "check.csv").exists()
    assert figures(tmp_path / "other") == ["survivors/1"]


def test_formulas_and_hand_made_losses_each_once(tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    file.write_text("pred\nlogg(pred)\n(label - pred)**2\n")
    losses = [BCE(), MSE(), Focal(), Focal(gamma=1.0), BCE(), FormulaLoss("pred", "autolossgen")]
    settings = CheckSettings(
        formulas=["pred", "label"], file=str(file), losses=losses, root=str(tmp_path / "new" / "root"), figures=0
    )
    table = run_check(settings, seed=1)
    expected = ["pred", "(label - pred)**2", "label", "BCE", "MSE", "Focal", "Focal(gamma=1.0)", "pred"]
    assert table["formula"].tolist() == expected
    assert table["kind"].tolist() == ["formula"] * 3 + ["reference"] * 4 + ["formula"]
    assert "rank" not in table
    # What the check writes can be checked again.
    again = read_formulas(tmp_path / "new" / "root" / "check.csv")
    assert [str(formula) for formula in again.formulas] == ["pred", "(label - pred)**2", "label"]
    assert again.problems == []


def test_bad_formulas_are_named_and_the_rest_is_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = CheckSettings(formulas=["logg(pred)", "pred * label"], root=str(tmp_path), figures=0)
    assert run_check(settings, seed=1)["formula"].tolist() == ["pred * label"]
    assert "left out: 'logg(pred)': formula, character 1: unknown name 'logg'" in capsys.readouterr().out


def test_nothing_left_to_check_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"there is no formula to check; left out: 'logg\(pred\)'"):
        run_check(CheckSettings(formulas=["logg(pred)"], root=str(tmp_path)), seed=1)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_a_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="holds no study"):
        run_check(CheckSettings(run=str(tmp_path)), seed=1)


def test_findings_do_not_depend_on_the_company(tmp_path: Path) -> None:
    options = {"root": str(tmp_path), "figures": 0}
    text = "max(pred, label * abs(pred - 0.5))"
    alone = run_check(CheckSettings(formulas=[text], **options), seed=5)
    last = run_check(CheckSettings(formulas=["pred", text], **options), seed=5)
    assert alone.iloc[0].to_dict() == last.iloc[1].to_dict()


def test_the_table_in_the_terminal_is_cut(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    formulas = [f"pred + {number} * label" for number in range(22)]
    run_check(CheckSettings(formulas=formulas, root=str(tmp_path), figures=0), seed=1)
    told = capsys.readouterr().out
    assert "2 more rows are in the file." in told
    assert "Kept: 0 of 22." in told
    assert len(pd.read_csv(tmp_path / "check.csv")) == 22


def test_a_formula_of_very_many_trainings_is_checked_once(study: Path) -> None:
    with sqlite3.connect(study / "ledger.sqlite") as ledger:
        columns = ", ".join(row[1] for row in ledger.execute("PRAGMA table_info(candidates)") if row[1] != "id")
        first = f"SELECT {columns} FROM candidates WHERE kind = 'candidate' LIMIT 1"
        numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)"
        ledger.execute(f"INSERT INTO candidates ({columns}) {numbers} SELECT {columns} FROM ({first}), n")
    begin = time.process_time()
    table = run_check(CheckSettings(run=str(study), figures=0), seed=1)
    assert table["formula"].tolist() == BEST_FIRST
    # Reading each of them again takes more than a minute.
    assert time.process_time() - begin < 15
