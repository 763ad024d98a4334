"""The report of a search holds what the search found, and shows whatever its files hold as text."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from lightning_modules.report.command import write_report
from lightning_modules.search.answer import ValidatedFormula, Validation
from lightning_modules.search.events import Candidate
from lightning_modules.search.ledger import Ledger
from lightning_modules.search.study import Study
from tests.report.html_reading import Node, read_report
from tests.report.test_html import HOSTILE
from tests.search.observer_helpers import candidate, reference

ANSWER = "3 * (label - pred)**2"
CANDIDATES = [
    reference("BCE", 0.0),
    reference("MSE", 0.002),
    candidate(round=1, formula="label - pred", simplified="label - pred", reward=-0.04, position=1, operators=1),
    candidate(round=1, formula=ANSWER, simplified=ANSWER, reward=0.004, standard_error=0.001, position=2, operators=2),
    candidate(round=2, formula="log(pred) * label", simplified="label * log(pred)", reward=0.001, operators=2),
]
SETTINGS: dict[str, Any] = {
    "seed_everything": 7,
    "search": {
        "rounds": 2,
        "monitor": "val/auc",
        "holdout": 0.1,
        "finalists": 2,
        "finalist_seeds": 3,
        "finalist_epochs": 50,
        "strategy": {"class_path": "lightning_modules.search.strategies.PPO"},
    },
    "trainer": {"max_epochs": 2},
    "model": {"class_path": "lightning_modules.recommenders.BiasedMF", "init_args": {"embedding_dim": 4}},
    "data": {"class_path": "datamodules.SyntheticInteractions"},
}
DATA = {
    "splits": {"train": {"rows": 75000, "unordered": "c6", "columns": {"user": "1a", "label": "2b"}}},
    "names": {"users": "500:0c3f"},
}


def study_in(
    root: Path,
    *,
    answer: bool | None = True,
    settings: dict[str, Any] = SETTINGS,
    candidates: Sequence[Candidate] = tuple(CANDIDATES),
) -> Path:
    ledger = Ledger(root)
    for each in candidates:
        ledger.on_candidate(each)
    if answer is not None:
        finalists = (
            ValidatedFormula(ANSWER, 0.009, 0.0025, is_answer=answer),
            ValidatedFormula("label - pred", None, None),
        )
        ledger.on_validation(Validation(2, "BCE", 0.7, finalists))
    ledger.close()
    (root / "config.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    (root / "data.json").write_text(json.dumps(DATA), encoding="utf-8")
    return root


def report_of(root: Path) -> Node:
    return read_report(write_report(root).read_text(encoding="utf-8"))


def words(node: Node) -> str:
    return " ".join(node.text.split())


def test_the_answer_stands_first_with_what_it_is_better_by(tmp_path: Path) -> None:
    report = report_of(study_in(tmp_path))
    assert report.all("h1")[0].text == "Search for a loss: BiasedMF on SyntheticInteractions"
    assert "better than that of tuned BCE by +0.0090 (standard error 0.0025)" in words(report.all("header")[0])
    answer = report.section("answer")
    assert [each.text for each in answer.all("code")] == [ANSWER]
    assert (
        "".join(answer.all("math")[0].text.split())
        == "\N{SCRIPT SMALL L}\N{FUNCTION APPLICATION}(y^,y)=3\N{MIDDLE DOT}(y\N{MINUS SIGN}y^)2"
    )
    assert "trained 3 times" in words(answer)


@pytest.mark.parametrize(
    ("answer", "lead", "section"),
    [
        (False, "The search found nothing that beats tuned BCE.", "None of 2 finalists has a better AUC"),
        (
            None,
            "The best formula has a reward of +0.0040 (standard error 0.0010), which is not validated",
            "--search.finalists 10",
        ),
    ],
)
def test_a_search_without_answer_says_so(tmp_path: Path, answer: bool | None, lead: str, section: str) -> None:
    report = report_of(study_in(tmp_path, answer=answer))
    assert lead in words(report.all("header")[0])
    assert section in words(report.section("answer"))


def test_the_reward_is_explained_and_the_front_is_a_table(tmp_path: Path) -> None:
    report = report_of(study_in(tmp_path))
    reward = words(report.section("what-the-reward-is"))
    assert "how much better than BCE's the AUC is after 2 epochs, on rows held out of the training rows" in reward
    front = report.table("The front: the best formula with at most so many operators")
    assert front[1:] == [
        ["1", "3", "-0.0400", "-", "-pred"],
        ["2", "1", "+0.0040 ± 0.0010", "+0.0090 ± 0.0025", ANSWER],
    ]
    assert report.table("Hand-made losses")[1:] == [["MSE", "+0.0020"], ["BCE", "+0.0000"]]


def test_a_formula_of_the_front_has_the_text_of_its_card(tmp_path: Path) -> None:
    trained = "2 * (log(1 / min(pred, label)) + pred)"
    found = candidate(formula=trained, simplified="2 * pred - 2 * log(min(pred, label))", operators=3, epochs=2)
    report = report_of(study_in(tmp_path, answer=None, candidates=[reference("BCE", 0.0), found]))
    (_, row) = report.table("The front: the best formula with at most so many operators")
    (card,) = report.section("formulas").all("article")
    assert [each.text for each in card.all("code")][:2] == [row[-1], trained]
    assert row[-1] == "2 * (pred - log(min(pred, label)))"


def test_what_check_says_stands_beside_the_baseline(tmp_path: Path) -> None:
    report = report_of(study_in(tmp_path))
    header, *rows = report.table("Properties, found without training")
    found = {row[0]: dict(zip(header, row, strict=True)) for row in rows}
    assert [*found] == ["Rank 1, the answer", "Rank 3", "BCE"]
    assert found["Rank 1, the answer"]["proper"] == found["BCE"]["proper"] == "yes"
    assert found["Rank 3"]["right signs"] == "50.0%"
    assert found["Rank 3"]["kept"] == "no"
    assert len(report.section("formulas").all("svg")) == 2


def test_settings_data_and_next_commands(tmp_path: Path) -> None:
    root = study_in(tmp_path / "a study")
    report = report_of(root)
    assert ["search.strategy.class_path", "lightning_modules.search.strategies.PPO"] in report.table("config.yaml")
    assert report.table("Rows of every split")[1:] == [["train", "75,000", "user, label"]]
    assert report.table("data.json")[1:] == [["train", "user", "1a"], ["train", "label", "2b"]]
    commands = [each.text for each in report.section("how-to-go-on").all("code")]
    assert any(f"compare --study '{root}' --root '{root}_compare'" in each for each in commands)
    assert any(f"--model.loss '{root}#answer'" in each for each in commands)


def test_hostile_files_are_shown_as_text(tmp_path: Path) -> None:
    text = HOSTILE.replace("\x00", "").replace("\ud800", "")
    settings = {**SETTINGS, text: text, "model": {"class_path": f"a.{text}", "init_args": {text: [text]}}}
    hostile = [reference(text, 0.003), candidate(formula=text, simplified=text, reward=0.02, operators=1, position=9)]
    root = study_in(tmp_path / "<b>study", settings=settings, candidates=[*CANDIDATES, *hostile])
    data = {"splits": {text: {"rows": 1, "unordered": "", "columns": {text: text}}}, "names": {text: f"3:{text}"}}
    (root / "data.json").write_text(json.dumps(data), encoding="utf-8")
    report = report_of(root)
    assert text in [row[0] for row in report.table("Hand-made losses")]
    assert [text, text, text] in report.table("data.json")
    assert [text, text] in report.table("config.yaml")
    assert text in [each.text for each in report.section("formulas").all("code")]


def test_only_a_ledger_is_enough(tmp_path: Path) -> None:
    study_in(tmp_path)
    for name in ("config.yaml", "data.json"):
        (tmp_path / name).unlink()
    report = report_of(tmp_path)
    assert "unknown model on unknown data" in report.all("h1")[0].text
    assert "keeps no fingerprint" in words(report.section("data"))


def test_a_search_that_trained_no_formula_has_a_report(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.on_candidate(CANDIDATES[0])
    ledger.close()
    assert Study.read(tmp_path).num_candidates == 0
    assert "No formula was trained yet." in words(report_of(tmp_path))


def test_a_damaged_fingerprint_is_named(tmp_path: Path) -> None:
    (study_in(tmp_path) / "data.json").write_text('{"splits": [1]}')
    with pytest.raises(ValueError, match=r"data\.json cannot be read as the fingerprint of data"):
        write_report(tmp_path)
