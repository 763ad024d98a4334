"""The stage of the finalists: which formulas, on what executor, each once, and what is written of them."""

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from lightning_modules.losses import BCE, FormulaLoss, LossObject
from lightning_modules.search.answer import FinalistRun, ValidatedFormula, Validation, validated_formulas
from lightning_modules.search.finalist_training import FinalistTraining
from lightning_modules.search.finalists import Finalists, best_distinct, lessons_of
from lightning_modules.search.ledger import LEDGER_NAME, Ledger, read_finalists, read_validated
from lightning_modules.search.study import Study
from lightning_modules.search.trial import Evaluation, TrialKey
from tests.search.observer_helpers import candidate, reference
from tests.training.executors.fake_executor import FakeExecutor

SQUARE, ABSOLUTE = "(label - pred)**2", "abs(label - pred)"
VALUES = {"BCE": 0.7, SQUARE: 0.72, ABSOLUTE: 0.69}


class Stub(FinalistTraining):
    """Trains nothing, and counts what it was asked for."""

    group = 1

    def __init__(self, seeds: tuple[int, ...] = (3, 4), score: float | None = 0.0, group: int = 1) -> None:
        self.seeds = seeds
        self.group = group  # type: ignore[misc]  # a property of what is trained
        self.most_epochs = 9
        self.score = score
        self.trained: list[str] = []

    def train(self, losses: Sequence[LossObject]) -> list[list[FinalistRun]]:
        self.trained += [loss.title for loss in losses]
        scores = [None if self.score is None else self.score + VALUES[loss.title] for loss in losses]
        return [finished(loss.title, self.seeds, score) for loss, score in zip(losses, scores, strict=True)]


def finished(name: str, seeds: Sequence[int] = (3, 4), score: float | None = 0.7) -> list[FinalistRun]:
    status = "trained" if score is not None else "diverged"
    return [
        FinalistRun(name, seed, status, score, 5, 1e-3, 1e-5, 2.0, "", 9, torch.arange(4.0) * seed) for seed in seeds
    ]


def stage(training: FinalistTraining, executor: FakeExecutor | None = None, **options: Any) -> Finalists:
    defaults: dict[str, Any] = {"baseline": BCE(), "count": 5, "known": {}, "record": lambda runs: None}
    return Finalists(executor or FakeExecutor(), training, **{**defaults, **options})


LOSSES = [FormulaLoss(SQUARE), FormulaLoss(ABSOLUTE)]


def test_every_finalist_and_the_baseline_is_one_call_recorded_when_it_is_done() -> None:
    written: list[str] = []
    executor = FakeExecutor()
    finalists = stage(Stub(), executor, record=lambda runs: written.extend({run.name for run in runs}))
    seen = []
    for runs in finalists.train(LOSSES):
        assert runs[0].name in written
        seen.append(runs[0].name)
    assert sorted(seen) == sorted(written) == sorted(VALUES)
    assert len(executor.submitted) == 3
    validation = finalists.validation(4, [SQUARE, ABSOLUTE])
    assert (validation.round, validation.baseline, validation.baseline_score) == (4, "BCE", 0.7)
    assert [each.difference for each in validation.formulas] == pytest.approx([0.02, -0.01])
    assert validation.answer is not None
    assert validation.answer.formula == SQUARE


@pytest.mark.parametrize(("group", "slots", "sizes"), [(8, 1, [3]), (2, 1, [2, 1]), (8, 2, [2, 1]), (8, 5, [1, 1, 1])])
def test_finalists_are_trained_in_groups_that_keep_all_workers_busy(group: int, slots: int, sizes: list[int]) -> None:
    executor = FakeExecutor(slots)
    training = Stub(group=group)
    finalists = stage(training, executor)
    assert sorted(runs[0].name for runs in finalists.train(LOSSES)) == sorted(training.trained) == sorted(VALUES)
    assert [len(losses) for _, losses in executor.submitted] == sizes


def test_what_is_known_with_the_same_seeds_is_not_trained_again() -> None:
    shorter = [replace(run, most_epochs=8) for run in finished("BCE")]
    known = {"BCE": shorter, SQUARE: finished(SQUARE, (3,)), ABSOLUTE: finished(ABSOLUTE)}
    training = Stub()
    finalists = stage(training, known=known)
    assert sorted(runs[0].name for runs in finalists.train(LOSSES)) == sorted(VALUES)
    assert sorted(training.trained) == [SQUARE, "BCE"]
    list(finalists.train(LOSSES))
    assert len(training.trained) == 2


@pytest.mark.parametrize(("group", "slots"), [(1, 3), (2, 1), (3, 1), (3, 2)])
def test_a_finalist_whose_process_dies_twice_has_failed_and_the_others_have_not(group: int, slots: int) -> None:
    executor = FakeExecutor(slots, deadly=lambda arguments: ABSOLUTE in {loss.title for loss in arguments[1]})
    finalists = stage(Stub(group=group), executor)
    seen = [runs[0].name for runs in finalists.train(LOSSES)]
    assert sorted(seen) == sorted(VALUES)
    validation = finalists.validation(1, [SQUARE, ABSOLUTE])
    assert [each.difference is None for each in validation.formulas] == [False, True]
    assert all("died" in run.error for run in finalists.known[ABSOLUTE])
    assert len(finalists.known[ABSOLUTE]) == 2


def test_a_baseline_that_cannot_be_trained_is_an_error_with_its_reason() -> None:
    finalists = stage(Stub(score=None))
    list(finalists.train([]))
    with pytest.raises(RuntimeError, match=r"BCE could not be trained to convergence \(diverged\).*learning rate"):
        finalists.validation(1, [])


def test_finalists_are_those_on_the_front_then_the_best_with_other_gradients() -> None:
    candidates = [
        reference("MSE", 0.5),
        candidate(formula="log(pred) * (pred + label) - pred * label", reward=0.10, signature=1, operators=5),
        candidate(formula="max(pred, label) - log(pred)", reward=0.09, signature=2, operators=3),
        candidate(formula="max(pred, label) - log(pred + pred)", reward=0.09, signature=2, operators=4),
        candidate(formula="square(pred) + square(label) * pred", reward=0.08, signature=3, operators=4),
        candidate(formula="pred * label", reward=0.01, signature=4, operators=1),
        candidate(formula="broken(pred)", reward=0.9, signature=5, operators=1, status="failed", metric=None),
    ]
    signatures = {each.formula: each.signature for each in candidates}
    assert [signatures[formula] for formula in best_distinct(candidates, 9)] == [1, 2, 4, 3]
    assert len(best_distinct(candidates, 2)) == 2
    clear = [replace(each, standard_error=0.01) for each in candidates]
    assert [signatures[formula] for formula in best_distinct(clear, 9)] == [1, 2, 3, 4]
    assert best_distinct([], 3) == []


def test_the_ledger_returns_what_was_written_of_finalists(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.on_candidate(candidate())
    ledger.record_finalist([*finished(SQUARE, (3, 4)), *finished("BCE", (3, 4), None)])
    ledger.record_finalist([replace(run, components=None) for run in finished(SQUARE, (3, 4, 5))])
    formulas = (ValidatedFormula(SQUARE, 0.02, 0.01, is_answer=True), ValidatedFormula("pred", None, None))
    for number, written in ((2, formulas[1:]), (3, ()), (3, formulas)):
        ledger.on_validation(Validation(number, "BCE", 0.7, written))
    ledger.close()
    found = read_finalists(tmp_path)
    assert found[SQUARE] == [replace(run, components=None) for run in finished(SQUARE, (3, 4, 5))]
    assert [run.components.tolist() for run in found["BCE"] if run.components is not None] == [
        [0.0, 3.0, 6.0, 9.0],
        [0.0, 4.0, 8.0, 12.0],
    ]
    assert read_validated(tmp_path) == formulas


def test_a_finalist_named_as_a_loss_has_the_temperature_that_was_tuned_for_it(tmp_path: Path) -> None:
    tuned, other = "softplus(gap_t)", "relu(gap_t)"
    ledger = Ledger(tmp_path)
    for formula, reward in ((tuned, 0.2), (other, 0.1)):
        ledger.on_candidate(candidate(formula=formula, reward=reward, temperature=0.1))
    runs = {name: [replace(run, temperature=0.05) for run in finished(name)] for name in (tuned, "BCE")}
    ledger.record_finalist(runs[tuned])
    validated = validated_formulas(runs["BCE"], {tuned: runs[tuned]}, {tuned: 1})
    ledger.on_validation(Validation(1, "BCE", 0.7, validated))
    ledger.close()
    assert [run.temperature for run in read_finalists(tmp_path)[tuned]] == [0.05, 0.05]
    study = Study.read(tmp_path)
    assert [study.loss(rank).init_args()["temperature"] for rank in (1, 2)] == [0.05, 0.1]


def test_finalists_of_an_earlier_version_are_gone_on_with(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.on_candidate(candidate())
    ledger.record_finalist(finished(SQUARE))
    ledger.on_validation(Validation(1, "BCE", 0.7, (ValidatedFormula(SQUARE, 0.02, 0.01),)))
    ledger.close()
    with sqlite3.connect(tmp_path / LEDGER_NAME) as connection:
        for table in ("finalists", "validated"):
            connection.execute(f"ALTER TABLE {table} DROP COLUMN temperature")
    assert [run.seed for run in read_finalists(tmp_path)[SQUARE]] == [3, 4]
    assert read_validated(tmp_path) == (ValidatedFormula(SQUARE, 0.02, 0.01),)
    ledger = Ledger(tmp_path)
    ledger.record_finalist([replace(run, temperature=0.2) for run in finished("BCE")])
    ledger.close()
    assert {run.name: run.temperature for runs in read_finalists(tmp_path).values() for run in runs} == {
        SQUARE: None,
        "BCE": 0.2,
    }


def failed(name: str) -> list[FinalistRun]:
    return [replace(run, status="failed", error="killed") for run in finished(name, score=None)]


def test_a_finalist_that_failed_is_trained_again_and_its_result_takes_the_place_of_the_failure(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.on_candidate(candidate(formula=SQUARE))
    for runs in (failed("BCE"), [finished(SQUARE)[0], failed(SQUARE)[1]], finished(ABSOLUTE, score=None)):
        ledger.record_finalist(runs)
    ledger.on_validation(Validation(1, "BCE", 0.7, (ValidatedFormula(SQUARE, None, None),)))
    ledger.close()
    assert {*read_finalists(tmp_path)} == {ABSOLUTE}
    ledger, training = Ledger(tmp_path), Stub()
    finalists = stage(training, known=dict(read_finalists(tmp_path)), record=ledger.record_finalist)
    list(finalists.train(LOSSES))
    ledger.close()
    assert sorted(training.trained) == [SQUARE, "BCE"]
    found = read_finalists(tmp_path)
    assert [run.status for run in found[SQUARE]] == [run.status for run in found["BCE"]] == ["trained"] * 2


def test_a_failure_that_later_rounds_have_learned_from_stays(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.on_candidate(candidate(formula=SQUARE))
    ledger.record_finalist(failed(SQUARE))
    ledger.on_validation(Validation(1, "BCE", 0.7, (ValidatedFormula(SQUARE, None, None),)))
    ledger.record([(TrialKey(2, "candidate", 1, 0, ABSOLUTE), Evaluation("trained", 0.7, 0.1))])
    ledger.record_finalist(failed(ABSOLUTE))
    ledger.close()
    assert {*read_finalists(tmp_path)} == {SQUARE}


def test_a_failure_does_not_stay_because_a_finished_search_goes_on(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.on_candidate(candidate(formula=SQUARE))
    ledger.record_finalist(failed(SQUARE))
    ledger.on_validation(Validation(1, "BCE", 0.7, (ValidatedFormula(SQUARE, None, None),)))
    ledger.close()
    # It is interrupted in its second round.
    ledger = Ledger(tmp_path)
    ledger.record([(TrialKey(2, "candidate", 1, 0, ABSOLUTE), Evaluation("trained", 0.7, 0.1))])
    ledger.close()
    assert read_finalists(tmp_path) == {}


def test_finalists_of_another_type_than_the_ledger_writes_are_refused(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.on_candidate(candidate())
    ledger.record_finalist(finished(SQUARE))
    ledger.close()
    with sqlite3.connect(tmp_path / LEDGER_NAME) as connection:
        connection.execute("UPDATE finalists SET score = 'much'")
    with pytest.raises(ValueError, match="table finalists has text 'much' in the column score"):
        read_finalists(tmp_path)


def test_what_finalists_teach_are_their_results_by_signature() -> None:
    formulas = (ValidatedFormula(SQUARE, 0.02, 0.01), ValidatedFormula(ABSOLUTE, None, None))
    trained = [reference("BCE", 0.0), candidate(formula=SQUARE, signature=7), candidate(formula=ABSOLUTE, signature=8)]
    lessons = lessons_of(Validation(1, "BCE", 0.7, formulas), trained)
    assert (lessons.signature.tolist(), lessons.reward.tolist()) == ([7], [0.02])
    # Negation, sum and square.
    assert lessons.operators.tolist() == [3]
    assert lessons.standard_error.tolist() == [0.01]
    assert {len(part) for part in lessons_of(Validation(1, "BCE", 0.7, formulas[1:]), trained)} == {0}


@pytest.mark.parametrize(("scaled", "operators"), [(True, 3), (False, 4)])
def test_the_scale_of_a_formula_is_no_operator_of_its_program(scaled: bool, operators: int) -> None:
    formula = f"1.5 * {SQUARE}"
    validation = Validation(1, "BCE", 0.7, (ValidatedFormula(formula, 0.02, 0.01),))
    assert lessons_of(validation, [candidate(formula=formula)], scaled=scaled).operators.tolist() == [operators]
