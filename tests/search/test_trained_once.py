"""Every loss is trained once in a study, in groups, and recorded before it is yielded."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from lightning_modules.losses import BCE, Formula, FormulaLoss, Loss
from lightning_modules.search.schedule import BestCandidate, FromScratch
from lightning_modules.search.successive_halving import SuccessiveHalving
from lightning_modules.search.trial import Assignment, Evaluation, TrialKey
from lightning_modules.search.trial_runner import Record
from lightning_modules.search.trials import Trials
from lightning_modules.training.executors import SerialExecutor, TrainingExecutor
from tests.search.child_helpers import planted_data, untrained
from tests.training.executors.fake_executor import FakeExecutor

pytestmark = pytest.mark.timeout(60)


class Scores:
    """An evaluator that trains nothing: the score is the length of the loss, and so are the weights."""

    def __init__(self, group: int = 1) -> None:
        self.group = group
        self.assignments: list[Assignment] = []

    def evaluate(self, recommender: pl.LightningModule, assignment: Assignment) -> list[Evaluation]:
        self.assignments.append(assignment)
        return [self._evaluation(loss, assignment.keep_weights) for loss in assignment.losses]

    def _evaluation(self, loss: Loss, keep_weights: bool) -> Evaluation:
        length = float(len(loss.title))
        weights = {"length": torch.tensor(length)} if keep_weights else None
        return Evaluation("trained", length, 0.1, weights=weights)


def losses(count: int) -> list[Loss]:
    return [FormulaLoss(Formula.parse("pred - label" + " + pred" * number)) for number in range(count)]


def keys(given: Sequence[Loss], epochs: int = 0) -> list[TrialKey]:
    return [TrialKey(2, "candidate", index, epochs, loss.title) for index, loss in enumerate(given, start=1)]


def trials(
    executor: TrainingExecutor | None = None,
    evaluator: Scores | None = None,
    *,
    known: Mapping[TrialKey, Evaluation] | None = None,
    record: Record = lambda trials: None,
    best: BestCandidate | None = None,
) -> Trials:
    return Trials(
        executor or SerialExecutor(),
        evaluator or Scores(),
        FromScratch(untrained(planted_data())),
        halving=SuccessiveHalving(),
        baseline=None,
        seed=9,
        known=known or {},
        record=record,
        best=best,
    )


@pytest.mark.parametrize("group", [1, 3, 4, 10])
@pytest.mark.parametrize("executor", [SerialExecutor(), FakeExecutor(3)])
def test_every_loss_is_trained_and_recorded_before_it_is_yielded(
    group: int, executor: SerialExecutor | FakeExecutor
) -> None:
    evaluator, record, given = Scores(group), [], losses(7)
    tried = trials(executor, evaluator, record=record.append)
    told = {}
    for index, evaluation in tried.train(keys(given), given):
        assert any(key == keys(given)[index] for finished in record for key, _ in finished)
        told[index] = evaluation
    assert told == {index: Evaluation("trained", float(len(loss.title)), 0.1) for index, loss in enumerate(given)}
    assert sorted(len(finished) for finished in record) == sorted(len(each.losses) for each in evaluator.assignments)
    sizes = sorted(len(each.losses) for each in evaluator.assignments)
    assert max(sizes) <= group
    assert sum(sizes) == 7
    assert {(each.seed, each.epochs, each.keep_weights) for each in evaluator.assignments} == {(9, None, False)}


def test_known_trials_are_not_run_again() -> None:
    evaluator, record, given = Scores(), [], losses(5)
    known = {keys(given)[1]: Evaluation("failed", None, 0.0, "lost"), keys(given)[4]: Evaluation("trained", 0.5, 0)}
    tried = trials(evaluator=evaluator, known=known, record=record.append)
    told = dict(tried.train(keys(given), given))
    assert [told[1], told[4]] == list(known.values())
    assert [each.losses[0] for each in evaluator.assignments] == [given[0], given[2], given[3]]
    assert len(record) == 3
    # Trials are known once they ran, and another key makes another trial.
    assert dict(tried.train(keys(given), given)) == told
    assert len(evaluator.assignments) == 3
    list(tried.train(keys(given, epochs=3), given))
    assert len(evaluator.assignments) == 8
    assert evaluator.assignments[-1].epochs == 3


def test_a_group_with_an_unknown_trial_is_trained_whole() -> None:
    evaluator, record, given = Scores(3), [], losses(6)
    known = {key: Evaluation("trained", 0.5, 0.0) for key in keys(given)[:5]}
    tried = trials(evaluator=evaluator, known=known, record=record.append)
    told = dict(tried.train(keys(given), given))
    assert [each.losses for each in evaluator.assignments] == [tuple(given[3:])]
    assert [[key for key, _ in finished] for finished in record] == [keys(given)[3:]]
    assert [told[index].score for index in range(3)] == [0.5] * 3
    assert told[3].score == float(len(given[3].title))


def test_a_trial_whose_process_dies_twice_has_failed_and_so_has_its_group() -> None:
    record, given = [], losses(4)
    executor = FakeExecutor(2, deadly=lambda arguments: given[1] in arguments[2].losses)
    told = dict(trials(executor, Scores(2), record=record.append).train(keys(given), given))
    assert [told[index].status for index in range(4)] == ["failed", "failed", "trained", "trained"]
    assert "its process died, and so it did on a second try: killed by signal 9" in told[0].error
    assert told[0].score is None
    assert len(record) == 2


def test_the_recommender_travels_once_until_it_moves() -> None:
    executor, given = FakeExecutor(), losses(3)
    tried = trials(executor)
    assert len(executor.shared) == 1
    list(tried.train(keys(given), given))
    list(tried.train(keys(given, epochs=3), given))
    assert executor.shared[1:] == [tried.schedule.recommender]
    tried.schedule.moves = 1
    list(tried.train(keys(given, epochs=5), given))
    assert len(executor.shared) == 3


def test_the_best_candidates_weights_are_kept_or_trained_again(tmp_path: Path) -> None:
    evaluator, record, given = Scores(2), [], losses(4)
    best = BestCandidate(tmp_path / "best.pt")
    tried = trials(evaluator=evaluator, record=record.append, best=best)
    list(tried.train(keys(given), given))
    assert all(evaluation.weights is None for finished in record for _, evaluation in finished)
    done = len(evaluator.assignments)
    kept = tried.weights(keys(given)[3], given[3])
    assert kept["length"] == len(given[3].title)
    assert len(evaluator.assignments) == done
    again = tried.weights(keys(given)[0], given[0])
    assert again["length"] == len(given[0].title)
    assert len(evaluator.assignments) == done + 1


@pytest.mark.parametrize("deaths", [1, 2])
def test_weights_are_trained_again_in_spite_of_one_death(tmp_path: Path, deaths: int) -> None:
    given, left = losses(2), [deaths]

    def deadly(arguments: tuple[Any, ...]) -> bool:
        left[0] -= 1
        return left[0] >= 0

    tried = trials(FakeExecutor(deadly=deadly), best=BestCandidate(tmp_path / "b"))
    if deaths == 1:
        assert tried.weights(keys(given)[1], given[1])["length"] == len(given[1].title)
        return
    with pytest.raises(RuntimeError, match=r"could not be trained again for its weights: killed by signal 9"):
        tried.weights(keys(given)[1], given[1])


def test_what_cannot_be_recorded_is_not_yielded() -> None:
    def full(trials: object) -> None:
        raise OSError("no space")

    tried = trials(record=full)
    with pytest.raises(OSError, match="no space"):
        list(tried.train(keys([BCE()]), [BCE()]))
    assert tried.known == {}


def test_a_baseline_does_not_take_the_place_of_the_best_candidate(tmp_path: Path) -> None:
    evaluator, given = Scores(), losses(2)
    tried = trials(evaluator=evaluator, best=BestCandidate(tmp_path / "best.pt"))
    list(tried.train(keys(given), given))
    better = losses(9)[8]
    list(tried.train([TrialKey(2, "baseline", 0, 0, better.title)], [better]))
    assert not evaluator.assignments[-1].keep_weights
    done = len(evaluator.assignments)
    assert tried.weights(keys(given)[1], given[1])["length"] == len(given[1].title)
    assert len(evaluator.assignments) == done
