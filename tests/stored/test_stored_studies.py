"""A study, a comparison and a polish that an earlier version stored go on as before."""

import re
from pathlib import Path

import pandas as pd
import pytest

from lightning_modules.search.ledger import read_trials
from tests.report.html_reading import read_report
from tests.stored.comparisons import change_data
from tests.stored.make import COMPARE, FITS, POLISH, SEARCH, TRAINER
from train import main

#: The default at that time.
AS_IT_WAS = [*SEARCH, "--search.strategy.uniform_share=0.33", "--search.strategy.warmup_learning_rate=0.004"]


def test_a_study_is_checked_and_exported() -> None:
    ledger = pd.read_csv("study/formulas.csv").query("kind == 'candidate'")
    assert main(["check", "study"]) == 0
    assert set(pd.read_csv("study/check.csv")["formula"]) >= set(ledger["formula"])
    assert main(["export", "study", "--rank=1", "--to=python", "--output=loss.py"]) == 0
    assert main(["fit", *FITS["biased_mf"], "--model.loss=study#1", *TRAINER, "--trainer.max_epochs=1"]) == 0


@pytest.mark.parametrize("name", ["study", "compare", "polish"])
def test_what_is_stored_has_a_report(name: str) -> None:
    assert main(["report", name]) == 0
    read_report(Path(name, "report.html").read_text(encoding="utf-8"))


def test_a_search_goes_on_for_as_many_rounds() -> None:
    before = read_trials(Path("study"))
    assert main([*AS_IT_WAS, "--rounds=3"]) == 0
    trials = read_trials(Path("study"))
    assert {key: trials[key].score for key in before} == {key: each.score for key, each in before.items()}
    # What a policy draws depends on the last bit of its probabilities, so that the new formulas may be others.
    expected = pd.read_csv("study/three_rounds.csv")
    assert len(pd.read_csv("study/formulas.csv")) == len(expected)
    assert sorted(key.position for key in trials if key.round == 3) == [1, 2]


def test_a_search_does_not_go_on_with_other_settings_or_data(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SEARCH, "--rounds=3"]) == 1
    assert "search.strategy.init_args.uniform_share was 0.33 and is 0.2" in capsys.readouterr().err
    assert main([*AS_IT_WAS, "--rounds=3", "--draws=32"]) == 1
    assert "search.draws was 64 and is 32" in capsys.readouterr().err
    change_data(Path("data/shop.csv"))
    assert main([*AS_IT_WAS, "--rounds=3"]) == 1
    assert "was begun with other data" in capsys.readouterr().err


def in_todays_words(summary: Path) -> str:
    """Return a stored summary as it is written today: epochs without a better metric were validations."""
    return re.sub(r"(\d) epochs without", r"\1 validations without", summary.read_text())


def test_a_comparison_keeps_its_trainings_and_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    before, trainings = in_todays_words(Path("compare/summary.md")), pd.read_csv("compare/trainings.csv")
    assert main([*COMPARE, "--seeds=2"]) == 1
    assert "compare.patience was 5 and is 20" in capsys.readouterr().err
    as_it_was = [*COMPARE, "--patience=5"]
    assert main([*as_it_was, "--seeds=2"]) == 0
    assert Path("compare/summary.md").read_text() == before
    pd.testing.assert_frame_equal(pd.read_csv("compare/trainings.csv"), trainings)
    assert main([*as_it_was, "--seeds=3"]) == 0
    assert set(pd.read_csv("compare/results.csv")["seed"]) == {42, 43, 44}


def test_a_polish_keeps_its_trainings_and_goes_on() -> None:
    before = in_todays_words(Path("polish/summary.md"))
    assert main([*POLISH, "--seeds=1"]) == 0
    assert Path("polish/summary.md").read_text() == before
    results = pd.read_csv("polish/results.csv")
    assert main([*POLISH, "--seeds=2"]) == 0
    # What ended a training was not noted.
    goes_on = pd.read_csv("polish/results.csv").query("seed == 42")[list(results)]
    pd.testing.assert_frame_equal(goes_on, results)
