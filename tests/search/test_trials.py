"""Trainings become rewards: baselines by budget, ladders, and a recommender that moves on."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch

from lightning_modules.losses import BCE, MSE, Formula, FormulaLoss, Loss
from lightning_modules.search.rewards import FAILURE_REWARD
from lightning_modules.search.schedule import Alternating, BestCandidate, FromScratch, Schedule
from lightning_modules.search.successive_halving import SuccessiveHalving
from lightning_modules.search.trial import Assignment, Evaluation, Trial, TrialKey
from lightning_modules.search.trials import Trials
from lightning_modules.training.executors.dispatch import in_order
from tests.search.child_helpers import planted_data, untrained
from tests.training.executors.fake_executor import FakeExecutor

pytestmark = pytest.mark.timeout(60)
Table = Mapping[tuple[str, int], float | None]
FORMULAS = [FormulaLoss(Formula.parse(text)) for text in ("pred - label", "pred", "label - pred", "pred * label")]


class Looked:
    """An evaluator that looks scores up by the loss's title and the number of epochs."""

    group = 1

    def __init__(self, table: Table) -> None:
        self.table = table
        self.trained: list[tuple[str, int, int]] = []

    def evaluate(self, recommender: pl.LightningModule, assignment: Assignment) -> list[Evaluation]:
        (loss,) = assignment.losses
        epochs = assignment.epochs or 0
        self.trained.append((loss.title, epochs, assignment.seed))
        score = self.table[loss.title, epochs]
        weights = {name: torch.full_like(value, score or 0.0) for name, value in recommender.state_dict().items()}
        status = "failed" if score is None else "trained"
        return [Evaluation(status, score, 0.1, weights=weights if assignment.keep_weights else None)]


def trials(
    table: Table,
    halving: SuccessiveHalving | None = None,
    baseline: Loss | None = None,
    best: BestCandidate | None = None,
    schedule: Schedule | None = None,
) -> tuple[Trials, Looked]:
    evaluator = Looked(table)
    tried = Trials(
        FakeExecutor(3),
        evaluator,
        schedule or FromScratch(untrained(planted_data())),
        halving=halving or SuccessiveHalving(),
        baseline=baseline,
        seed=30,
        known={},
        record=lambda trials: None,
        best=best,
    )
    return tried, evaluator


def titles(losses: list[FormulaLoss]) -> list[str]:
    return [loss.title for loss in losses]


def test_rewards_are_differences_to_the_baseline_under_the_same_budget() -> None:
    first, second = FORMULAS[:2]
    table = {("BCE", 1): 0.5, ("BCE", 4): 0.7, (first.title, 1): 0.6, (second.title, 1): 0.4, (first.title, 4): 0.75}
    tried, evaluator = trials(table, SuccessiveHalving([1, 4]), BCE())
    tried.measure_baseline()
    assert evaluator.trained == [("BCE", 1, 30), ("BCE", 4, 30)]
    results = dict(tried.candidates(1, [first, second]))
    assert results[1].reward == pytest.approx(-0.1)
    assert results[0].reward == pytest.approx(0.05)
    assert (results[0].rung, results[1].rung) == (1, 0)
    assert results[0].key == TrialKey(1, "candidate", 1, 4, first.title)


def test_a_reward_has_no_floor() -> None:
    far, broken = FORMULAS[:2]
    tried, _ = trials({("BCE", 0): -0.5, (far.title, 0): -7.0, (broken.title, 0): None}, baseline=BCE())
    tried.measure_baseline()
    results = [trial for _, trial in tried.candidates(1, [far, broken])]
    assert [trial.failed for trial in results] == [False, True]
    assert results[0].reward == pytest.approx(-6.5)


def test_without_a_baseline_rewards_are_scores() -> None:
    tried, evaluator = trials({("MSE", 0): 0.6, ("BCE", 0): None})
    tried.measure_baseline()
    assert evaluator.trained == []
    results = list(tried.references({"MSE": MSE(), "BCE": BCE()}))
    assert [each.reward for each in results] == [0.6, FAILURE_REWARD]
    assert [each.key for each in results] == [
        TrialKey(0, "reference", 1, 0, "MSE"),
        TrialKey(0, "reference", 2, 0, "BCE"),
    ]


def test_a_baseline_that_cannot_be_trained_ends_the_search() -> None:
    tried, _ = trials({("BCE", 0): None}, baseline=BCE())
    with pytest.raises(RuntimeError, match=r"the baseline loss BCE could not be trained \(failed\)"):
        tried.measure_baseline()


def test_references_get_the_longest_budget() -> None:
    tried, _ = trials({("BCE", 9): 0.6}, SuccessiveHalving([1, 3, 9]))
    (trial,) = tried.references({"BCE": BCE()})
    assert (trial.rung, trial.key.epochs) == (2, 9)


def test_successive_halving_trains_fewer_and_fewer() -> None:
    scores = [0.1, 0.4, None, 0.3]
    table: dict[tuple[str, int], float | None] = {
        (loss.title, 1): score for loss, score in zip(FORMULAS, scores, strict=True)
    }
    table |= {(FORMULAS[1].title, 2): 0.45, (FORMULAS[3].title, 2): 0.5, (FORMULAS[3].title, 4): 0.6}
    tried, evaluator = trials(table, SuccessiveHalving([1, 2, 4]))
    told = list(tried.candidates(5, FORMULAS))
    # Those that a rung ends are told in their order, rung by rung.
    assert [index for index, _ in told] == [0, 2, 1, 3]
    assert [trial.rung for _, trial in told] == [0, 0, 1, 2]
    assert [trial.evaluation.score for _, trial in told] == [0.1, None, 0.45, 0.6]
    assert [trial.loss for _, trial in told] == [FORMULAS[index] for index, _ in told]
    assert [trial.key.position for _, trial in told] == [1, 3, 2, 4]
    assert sorted(epochs for _, epochs, _ in evaluator.trained) == [1] * 4 + [2] * 2 + [4]


def test_candidates_come_in_their_order_whatever_ends_first() -> None:
    table = {(loss.title, 0): 0.1 * number for number, loss in enumerate(FORMULAS)}
    for _ in range(5):
        tried, _ = trials(table)
        assert [index for index, _ in tried.candidates(1, FORMULAS)] == [0, 1, 2, 3]


def test_in_order_tells_each_as_soon_as_it_can() -> None:
    taken = []

    def numbered() -> object:
        for number in (2, 0, 3, 1):
            taken.append(number)
            yield number, str(number)

    seen = [(number, value, len(taken)) for number, value in in_order(numbered())]  # type: ignore[arg-type]
    assert seen == [(0, "0", 2), (1, "1", 4), (2, "2", 4), (3, "3", 4)]


def test_the_recommender_moves_on_with_the_best_and_so_does_the_seed(tmp_path: Path) -> None:
    first, second = FORMULAS[:2]
    table = {(first.title, 0): 0.8, (second.title, 0): 0.6, ("BCE", 0): 0.5}
    schedule = Alternating(untrained(planted_data()), score=0.7)
    tried, evaluator = trials(table, baseline=BCE(), best=BestCandidate(tmp_path / "best.pt"), schedule=schedule)
    tried.measure_baseline()
    results = dict(tried.candidates(1, [first, second]))
    assert tried.advance(results[1]) is False
    assert tried.advance(None) is False
    assert tried.advance(results[0]) is True
    assert schedule.moves == 1
    assert all(
        (value == 0.8).all() for value in schedule.recommender.state_dict().values() if value.is_floating_point()
    )
    tried.measure_baseline()
    assert evaluator.trained[-1] == ("BCE", 0, 31)


def test_from_scratch_reports_no_move() -> None:
    tried, _ = trials({})
    loss = FORMULAS[0]
    best = Trial(TrialKey(1, "candidate", 1, 0, loss.title), loss, 0, Evaluation("trained", 0.9, 0.1), 0.9)
    assert tried.advance(best) is None
