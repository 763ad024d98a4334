import sqlite3
from pathlib import Path
from typing import Any

import pytest
import yaml

from lightning_modules.core.run_config import CONFIG_NAME
from lightning_modules.losses import Formula, Numerics
from lightning_modules.search.answer import ValidatedFormula, Validation, bar_words
from lightning_modules.search.events import Candidate
from lightning_modules.search.ledger import LEDGER_NAME, Ledger
from lightning_modules.search.space import SearchSpace
from lightning_modules.search.study import Study, loss_of, named_study, settings_of
from lightning_modules.search.trial import Evaluation, TrialKey
from tests.search.observer_helpers import candidate, reference, round_summary

#: In the order of training; the hand-made losses lie between the formulas by their rewards.
CANDIDATES = [
    reference("BCE", 0.0),
    reference("MSE", 0.15),
    candidate(formula="label - pred", reward=0.1, round=1),
    candidate(formula="pred", reward=-1.0, round=1, status="failed", metric=None),
    candidate(formula="(label - pred)**2", reward=0.3, round=2),
    candidate(formula="abs(label - pred)", reward=0.2, round=3),
]
RANKED = ["(label - pred)**2", "abs(label - pred)", "label - pred", "pred"]
CUSTOM = {"eps": 1e-3, "low": -2.0, "high": 7.0}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return written(tmp_path / "study", CANDIDATES)


def written(root: Path, candidates: list[Candidate]) -> Path:
    ledger = Ledger(root)
    for each in candidates:
        ledger.on_candidate(each)
    ledger.record([])
    # A ledger without candidates would be removed; this one is only closed.
    ledger._connection.close()
    return root


def configured(root: Path, **search: Any) -> Study:
    (root / CONFIG_NAME).write_text(yaml.safe_dump({"seed_everything": 1, "search": search}))
    return Study.read(root)


def test_a_text_longer_than_a_file_name_may_be_is_the_name_of_no_folder() -> None:
    assert named_study("x" * 300) == ("x" * 300, "")


def test_formulas_are_ranked_by_reward_and_hand_made_losses_are_not(root: Path) -> None:
    study = Study.read(root)
    assert [str(study.formula(rank)) for rank in range(1, 5)] == RANKED
    assert study.num_candidates == 4
    assert set(study.losses.loc[study.losses["rank"].isna(), "formula"]) == {"BCE", "MSE"}
    assert study.losses["formula"].tolist() == [*RANKED[:2], "MSE", RANKED[2], "BCE", RANKED[3]]


@pytest.mark.parametrize("rank", [-1, 0, 5])
def test_a_rank_that_is_not_there_is_an_error_that_says_how_many_are(root: Path, rank: int) -> None:
    with pytest.raises(ValueError, match=f"has no formula of rank {rank}: it holds 4"):
        Study.read(root).formula(rank)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("protected", Numerics()),
        ("autolossgen", Numerics.named("autolossgen")),
        (CUSTOM, Numerics(**CUSTOM)),
        ({"class_path": "lightning_modules.losses.Numerics", "init_args": CUSTOM}, Numerics(**CUSTOM)),
    ],
)
def test_numerics_are_those_of_the_search(root: Path, given: Any, expected: Numerics) -> None:
    study = configured(root, numerics=given)
    assert study.numerics == expected
    loss = study.loss(2)
    assert (loss.formula, loss.numerics) == (Formula.parse(RANKED[1]), expected)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("PPO", "PPO"),
        ("a.b.RandomSearch", "RandomSearch"),
        ({"class_path": "a.REINFORCE", "init_args": {}}, "REINFORCE"),
    ],
)
def test_the_strategy_is_its_class(root: Path, given: Any, expected: str) -> None:
    assert configured(root, strategy=given).strategy == expected


def test_without_settings_the_ledger_is_read_all_the_same(root: Path) -> None:
    study = Study.read(str(root))
    assert (study.numerics, study.strategy, study.rounds) == (Numerics(), "", None)
    assert study.root == root
    assert not study.is_unfinished
    assert study.progress == "3 rounds, 4 trained candidates"
    assert settings_of(root) == {}


@pytest.mark.parametrize(("rounds", "unfinished"), [(3, False), (4, True), (20, True)])
def test_progress_in_words(root: Path, rounds: int, unfinished: bool) -> None:
    study = configured(root, rounds=rounds)
    assert study.progress == f"3 of {rounds} rounds, 4 trained candidates"
    assert study.is_unfinished is unfinished


def searched(root: Path, *, rounds: int, begun: bool = False, validated_after: int | None = None) -> Path:
    """Write what a search leaves that has finished rounds of a candidate, and may have begun another one."""
    ledger = Ledger(root)
    for number in range(1, rounds + begun + 1):
        formula = "pred" + " + label" * number
        ledger.record([(TrialKey(number, "candidate", 1, 0, formula), Evaluation("trained", 0.7, 0.1))])
        ledger.on_candidate(candidate(formula=formula, round=number, reward=0.1 * number))
        if number <= rounds:
            ledger.on_round(round_summary(number, SearchSpace()))
        if number == validated_after:
            ledger.on_validation(Validation(number, "BCE", 0.7, (ValidatedFormula(formula, None, None),)))
    ledger.close()
    return root


@pytest.mark.parametrize("limit", [{}, {"time_budget": "1s"}, {"patience": 1}], ids=str)
def test_a_round_that_has_only_begun_is_not_finished(tmp_path: Path, limit: dict[str, Any]) -> None:
    study = configured(searched(tmp_path / "begun", rounds=2, begun=True), rounds=3, **limit)
    assert (study.finished_rounds, study.progress) == (2, "2 of 3 rounds, 3 trained candidates")
    assert study.is_unfinished
    study = configured(searched(tmp_path / "done", rounds=3), rounds=3, **limit)
    assert (study.finished_rounds, study.is_unfinished) == (3, False)
    study = configured(searched(tmp_path / "first", rounds=0, begun=True), rounds=1, **limit)
    assert (study.finished_rounds, study.is_unfinished) == (0, True)


def test_the_rounds_of_an_earlier_version_are_finished_once_they_have_a_candidate(tmp_path: Path) -> None:
    root = searched(tmp_path, rounds=2, begun=True)
    with sqlite3.connect(root / LEDGER_NAME) as connection:
        connection.execute("DROP TABLE progress")
    study = configured(root, rounds=3)
    assert (study.finished_rounds, study.is_unfinished) == (3, False)
    # The ledger tells no rounds before one of them ends.
    Ledger(root).close()
    assert Study.read(root).finished_rounds == 3
    ledger = Ledger(root)
    ledger.on_round(round_summary(3, SearchSpace()))
    ledger.close()
    assert Study.read(root).rounds_on_disk == 3


@pytest.mark.parametrize(
    ("validated_after", "finalists", "unfinished"),
    [(None, 2, True), (1, 2, True), (3, 2, False), (None, 0, False), (None, None, False)],
)
def test_a_search_is_unfinished_until_its_finalists_are_compared(
    tmp_path: Path, validated_after: int | None, finalists: int | None, unfinished: bool
) -> None:
    root = searched(tmp_path, rounds=3, validated_after=validated_after)
    study = configured(root, rounds=3, finalists=finalists)
    assert study.is_unfinished is study.awaits_finalists is unfinished
    assert ("finalists still to train" in study.progress) is unfinished
    assert "still" not in configured(root, rounds=4, finalists=finalists).progress


def test_a_search_without_a_trained_formula_waits_for_no_finalist(tmp_path: Path) -> None:
    root = written(tmp_path, [candidate(status="failed", metric=None, reward=-1.0)])
    assert not configured(root, rounds=1, finalists=2).is_unfinished


def test_finalists_that_failed_are_finalists(root: Path) -> None:
    failed, worse = ValidatedFormula(RANKED[0], None, None), ValidatedFormula(RANKED[1], 0.001, 0.0009)
    for number, formulas in enumerate(((failed, ValidatedFormula(RANKED[1], None, None)), (failed, worse)), start=3):
        ledger = Ledger(root)
        ledger.on_validation(Validation(number, "BCE", 0.7, formulas))
        ledger.close()
        study = Study.read(root)
        assert (study.num_finalists, study.found_nothing) == (2, True)
        assert bar_words(study.num_finalists) == bar_words(len(formulas))
        with pytest.raises(ValueError, match="nothing that beats the baseline was found"):
            study.rank_at("answer")


def test_a_study_that_has_only_begun(tmp_path: Path) -> None:
    study = Study.read(written(tmp_path / "none", []))
    assert (study.num_candidates, study.finished_rounds, study.progress) == (0, 0, "0 rounds, 0 trained candidates")
    with pytest.raises(ValueError, match="it holds 0"):
        study.formula(1)
    assert configured(written(tmp_path / "references", CANDIDATES[:2]), rounds=2).is_unfinished


@pytest.mark.parametrize(
    ("budget", "formulas"),
    [
        (0, []),
        (1, ["label - pred"]),
        (2, ["label - pred", "pred"]),
        (3, ["(label - pred)**2", "label - pred", "pred"]),
        (4, RANKED),
        (9, RANKED),
    ],
)
def test_a_limited_study_is_as_it_stood_then(root: Path, budget: int, formulas: list[str]) -> None:
    study = Study.read(root)
    limited = study.limited_to(budget)
    assert [str(limited.formula(rank)) for rank in range(1, limited.num_candidates + 1)] == formulas
    assert limited.candidates["rank"].tolist() == list(range(1, len(formulas) + 1))
    assert {"BCE", "MSE"} <= set(limited.losses["formula"])
    assert study.num_candidates == 4


@pytest.mark.parametrize("name", ["shop", "a folder#1", "numbers#"])
def test_a_reference_names_a_loss_of_a_study(tmp_path: Path, name: str) -> None:
    root = written(tmp_path / name, CANDIDATES)
    configured(root, numerics=CUSTOM)
    loss = loss_of(f"{root}#2")
    assert loss is not None
    assert (str(loss.formula), loss.numerics) == (RANKED[1], Numerics(**CUSTOM))


@pytest.mark.parametrize(
    ("place", "formula"),
    [("front:9", RANKED[0]), ("front:2", RANKED[0]), ("front:1", RANKED[2]), ("2", RANKED[1])],
)
def test_a_reference_names_the_best_of_the_short_formulas(root: Path, place: str, formula: str) -> None:
    loss = loss_of(f"{root}#{place}")
    assert loss is not None
    assert str(loss.formula) == formula
    assert Study.read(root).front["formula"].tolist() == [RANKED[2], RANKED[0]]


@pytest.mark.parametrize("place", ["front", "front:", "front:x", "front:-1", "front:2 "])
def test_a_reference_to_the_front_needs_a_number(root: Path, place: str) -> None:
    with pytest.raises(ValueError, match="or the largest number of operators, as in"):
        loss_of(f"{root}#{place}")


def test_a_front_without_such_a_short_formula_says_what_there_is(root: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no formula with at most 0 operators: the shortest has 1"):
        loss_of(f"{root}#front:0")
    with pytest.raises(ValueError, match=r"no formula with at most 4 operators$"):
        loss_of(f"{written(tmp_path / 'none', [])}#front:4")


@pytest.mark.parametrize("text", ["(label - pred)**2", "runs/shop", "runs/shop#", "#1", "runs/shop#best", "runs#1/a"])
def test_other_texts_are_no_references(text: str) -> None:
    assert loss_of(text) is None


def test_a_reference_to_what_is_not_there_is_an_error(root: Path) -> None:
    with pytest.raises(FileNotFoundError, match="absent' holds no study"):
        loss_of(f"{root}/absent#1")
    for rank in (0, 5):
        with pytest.raises(ValueError, match=f"no formula of rank {rank}: it holds 4"):
            loss_of(f"{root}#{rank}")


@pytest.mark.parametrize(
    "content",
    [
        b"search: [1",
        b"\xff\xfe\x80",
        b"",
        b"just text",
        b"model: {}",
        b"search: []",
        b"search: {numerics: unheard}",
        b"search: {numerics: 5}",
        b"search: {numerics: {epsilon: 1}}",
        b"search: {numerics: {eps: x}}",
        b"search: {numerics: {eps: 0, low: 3, high: 1}}",
        b"search: {strategy: {init_args: {}}}",
        b"search: {strategy: null}",
    ],
)
def test_garbled_settings_are_an_error(root: Path, content: bytes) -> None:
    (root / CONFIG_NAME).write_bytes(content)
    with pytest.raises(ValueError, match=r"settings|numerics"):
        Study.read(root)


def test_a_damaged_ledger_is_an_error_that_names_it(root: Path) -> None:
    (root / LEDGER_NAME).write_bytes(b"no ledger at all" * 100)
    with pytest.raises(ValueError, match=rf"{LEDGER_NAME}' cannot be read as a ledger"):
        Study.read(root)


def test_a_folder_without_a_study_is_an_error_even_with_settings(tmp_path: Path) -> None:
    (tmp_path / CONFIG_NAME).write_text("search: {}")
    with pytest.raises(FileNotFoundError, match="holds no study"):
        Study.read(tmp_path)


def test_a_ledger_without_a_column_is_no_study(root: Path) -> None:
    with sqlite3.connect(root / LEDGER_NAME) as connection:
        connection.execute("ALTER TABLE candidates DROP COLUMN reward")
    with pytest.raises(ValueError, match="has no column reward"):
        Study.read(root)


@pytest.mark.parametrize(
    "search",
    [
        {"numerics": [1]},
        {"numerics": {"eps": "x"}},
        {"strategy": 7},
        {"strategy": {"init_args": {}}},
        {"rounds": "x"},
        {"finalists": "x"},
    ],
    ids=str,
)
def test_settings_of_another_type_are_refused_with_their_file(root: Path, search: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=rf"{CONFIG_NAME}' does not hold the settings of a search: ."):
        configured(root, **search)
