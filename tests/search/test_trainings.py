"""Children are trained once in the life of a study, in groups, and recorded before anyone hears of them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from lightning_modules.losses import BCE, Formula, FormulaLoss, Loss
from lightning_modules.search.best_child import BestCandidate
from lightning_modules.search.evaluation import Assignment, Evaluation
from lightning_modules.search.executors import SerialExecutor
from lightning_modules.search.places import TrialKey
from lightning_modules.search.trainings import Start, Trainings
from tests.search.child_helpers import planted_data, untrained
from tests.search.fake_executor import FakeExecutor

pytestmark = pytest.mark.timeout(60)


class Scores:
    """An evaluator that trains nothing: a child's score is its length, its weights say which it is."""

    def __init__(self, group: int = 1) -> None:
        self.group = group
        self.assignments: list[Assignment] = []

    def __call__(self, recommender: pl.LightningModule, assignment: Assignment) -> list[Evaluation]:
        self.assignments.append(assignment)
        return [self._evaluation(loss, assignment.keep_weights) for loss in assignment.losses]

    def _evaluation(self, loss: Loss, keep_weights: bool) -> Evaluation:
        length = float(len(loss.title))
        weights = {"length": torch.tensor(length)} if keep_weights else None
        return Evaluation("trained", length, 0.1, weights=weights)


Record = list[list[tuple[TrialKey, Evaluation]]]


def losses(count: int) -> list[Loss]:
    return [FormulaLoss(Formula.parse("pred - label" + " + pred" * number)) for number in range(count)]


def places(given: Sequence[Loss], epochs: int = 0) -> list[TrialKey]:
    return [TrialKey(2, "candidate", index, epochs, loss.title) for index, loss in enumerate(given, start=1)]


@pytest.fixture
def start() -> Start:
    return Start(untrained(planted_data()), moves=0, seed=9)


@pytest.mark.parametrize("group", [1, 3, 4, 10])
@pytest.mark.parametrize("executor", [SerialExecutor(), FakeExecutor(3)])
def test_every_child_is_trained_and_recorded_before_it_is_told(
    start: Start, group: int, executor: SerialExecutor | FakeExecutor
) -> None:
    evaluator, record, given = Scores(group), [], losses(7)
    trainings = Trainings(executor, evaluator, {}, record.append)
    told = {}
    for index, evaluation in trainings(places(given), given, start):
        assert any(place == places(given)[index] for children in record for place, _ in children)
        told[index] = evaluation
    assert told == {index: Evaluation("trained", float(len(loss.title)), 0.1) for index, loss in enumerate(given)}
    assert sorted(len(children) for children in record) == sorted(len(each.losses) for each in evaluator.assignments)
    sizes = sorted(len(each.losses) for each in evaluator.assignments)
    assert max(sizes) <= group
    assert sum(sizes) == 7
    assert {(each.seed, each.epochs, each.keep_weights) for each in evaluator.assignments} == {(9, None, False)}


def test_known_children_are_not_trained_again(start: Start) -> None:
    evaluator, record, given = Scores(), [], losses(5)
    known = {places(given)[1]: Evaluation("failed", None, 0.0, "lost"), places(given)[4]: Evaluation("trained", 0.5, 0)}
    trainings = Trainings(SerialExecutor(), evaluator, known, record.append)
    told = dict(trainings(places(given), given, start))
    assert [told[1], told[4]] == list(known.values())
    assert [each.losses[0] for each in evaluator.assignments] == [given[0], given[2], given[3]]
    assert len(record) == 3
    # What was trained now is known now, and a change of place makes another child.
    assert dict(trainings(places(given), given, start)) == told
    assert len(evaluator.assignments) == 3
    list(trainings(places(given, epochs=3), given, start))
    assert len(evaluator.assignments) == 8
    assert evaluator.assignments[-1].epochs == 3


def test_a_group_with_an_unknown_child_is_trained_whole(start: Start) -> None:
    evaluator, record, given = Scores(3), [], losses(6)
    known = {place: Evaluation("trained", 0.5, 0.0) for place in places(given)[:5]}
    trainings = Trainings(SerialExecutor(), evaluator, known, record.append)
    told = dict(trainings(places(given), given, start))
    assert [each.losses for each in evaluator.assignments] == [tuple(given[3:])]
    assert [[place for place, _ in children] for children in record] == [places(given)[3:]]
    assert [told[index].score for index in range(3)] == [0.5] * 3
    assert told[3].score == float(len(given[3].title))


def test_a_child_whose_process_dies_twice_has_failed_and_so_has_its_group(start: Start) -> None:
    record, given = [], losses(4)
    executor = FakeExecutor(2, deadly=lambda arguments: given[1] in arguments[2].losses)
    told = dict(Trainings(executor, Scores(2), {}, record.append)(places(given), given, start))
    assert [told[index].status for index in range(4)] == ["failed", "failed", "trained", "trained"]
    assert "its process died, and so it did on a second try: killed by signal 9" in told[0].error
    assert told[0].score is None
    assert len(record) == 2


def test_the_recommender_travels_once_until_it_moves(start: Start) -> None:
    executor, given = FakeExecutor(), losses(3)
    trainings = Trainings(executor, Scores(), {}, lambda children: None)
    assert len(executor.shared) == 1
    list(trainings(places(given), given, start))
    list(trainings(places(given, epochs=3), given, start))
    assert executor.shared[1:] == [start.recommender]
    list(trainings(places(given, epochs=5), given, replace(start, moves=1)))
    assert len(executor.shared) == 3


def test_the_best_childs_weights_are_kept_or_trained_again(start: Start, tmp_path: Path) -> None:
    evaluator, record, given = Scores(2), [], losses(4)
    best = BestCandidate(tmp_path / "best.pt")
    trainings = Trainings(SerialExecutor(), evaluator, {}, record.append, best)
    list(trainings(places(given), given, start))
    assert all(evaluation.weights is None for children in record for _, evaluation in children)
    done = len(evaluator.assignments)
    kept = trainings.weights(places(given)[3], given[3], start)
    assert kept["length"] == len(given[3].title)
    assert len(evaluator.assignments) == done
    again = trainings.weights(places(given)[0], given[0], start)
    assert again["length"] == len(given[0].title)
    assert len(evaluator.assignments) == done + 1


@pytest.mark.parametrize("deaths", [1, 2])
def test_weights_are_trained_again_in_spite_of_one_death(start: Start, tmp_path: Path, deaths: int) -> None:
    given, left = losses(2), [deaths]

    def deadly(arguments: tuple[Any, ...]) -> bool:
        left[0] -= 1
        return left[0] >= 0

    trainings = Trainings(
        FakeExecutor(deadly=deadly), Scores(), {}, lambda children: None, BestCandidate(tmp_path / "b")
    )
    if deaths == 1:
        assert trainings.weights(places(given)[1], given[1], start)["length"] == len(given[1].title)
        return
    with pytest.raises(RuntimeError, match=r"could not be trained again for its weights: killed by signal 9"):
        trainings.weights(places(given)[1], given[1], start)


def test_what_cannot_be_recorded_is_not_told(start: Start) -> None:
    def full(children: object) -> None:
        raise OSError("no space")

    trainings = Trainings(SerialExecutor(), Scores(), {}, full)
    with pytest.raises(OSError, match="no space"):
        list(trainings(places([BCE()]), [BCE()], start))
    assert trainings.known == {}


def test_a_baseline_does_not_take_the_place_of_the_best_candidate(start: Start, tmp_path: Path) -> None:
    evaluator, given = Scores(), losses(2)
    trainings = Trainings(SerialExecutor(), evaluator, {}, lambda children: None, BestCandidate(tmp_path / "best.pt"))
    list(trainings(places(given), given, start))
    better = losses(9)[8]
    list(trainings([TrialKey(2, "baseline", 0, 0, better.title)], [better], start))
    assert not evaluator.assignments[-1].keep_weights
    done = len(evaluator.assignments)
    assert trainings.weights(places(given)[1], given[1], start)["length"] == len(given[1].title)
    assert len(evaluator.assignments) == done
