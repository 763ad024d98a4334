"""The bar of a comparison counts as many trainings as there are, whatever options the losses have."""

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from lightning_modules.compare.compared_losses import HAND_MADE, ComparedLoss
from lightning_modules.compare.progress import CompareProgress
from lightning_modules.compare.protocol import EffectivenessTest, Plan
from lightning_modules.compare.records import ComparisonRecords
from lightning_modules.losses import BCE, MSE, Focal
from lightning_modules.training.tuning import Setting
from tests.compare.compare_helpers import StubTraining, trained

LOSSES = [ComparedLoss(loss, loss.title, HAND_MADE) for loss in (BCE(), Focal(), MSE())]


def low_decay(title: str, seed: int, setting: Setting) -> float:
    return 0.5 - setting.weight_decay


def high_rate(title: str, seed: int, setting: Setting) -> float:
    return 0.5 + setting.learning_rate


@pytest.mark.parametrize("score", [low_decay, high_rate])
@pytest.mark.parametrize("extensions", [0, 2])
@pytest.mark.parametrize(("seeds", "tuning_seeds"), [(3, 1), (2, 2)])
def test_the_bar_ends_at_its_total(score, extensions: int, seeds: int, tuning_seeds: int, tmp_path: Path) -> None:
    plan = Plan.of(
        [1e-3, 1e-2],
        [0.0, 1e-4, 1e-3],
        range(seeds),
        tuning_seeds,
        extensions=extensions,
        refinements=2,
        options={"gamma": [1.0, 2.0]},
    )
    tuning = [plan.tuning_trainings(each.loss) for each in LOSSES]
    assert tuning[1] > tuning[0] == tuning[2]
    bar = CompareProgress(Console(quiet=True), tuning=tuning, further=plan.further_trainings)
    task = bar.progress.tasks[0]
    assert task.total == sum(tuning) + 3 * (seeds - tuning_seeds)
    training = StubTraining(lambda *arguments: trained(score(*arguments)))
    test = EffectivenessTest(training, plan, ComparisonRecords(tmp_path), bar)
    for _ in test.run(LOSSES):
        assert len(training.calls) == task.completed <= task.total
    assert task.completed == task.total


class Watched(CompareProgress):
    """Notes what the bar has shown after every event."""

    def __init__(self, **options: Any) -> None:
        self.now = 0.0
        super().__init__(Console(quiet=True), clock=lambda: self.now, **options)
        self.shown: list[tuple[float, float, float | None]] = []

    def on_setting(self, compared: ComparedLoss, setting: Setting) -> None:
        super().on_setting(compared, setting)
        self._note_shown()

    def on_trained(self, compared: ComparedLoss, *, known: bool = False) -> None:
        self.now += 0.0 if known else 10.0
        super().on_trained(compared, known=known)
        self._note_shown()

    def _note_shown(self) -> None:
        task = self.progress.tasks[0]
        self.shown.append((task.completed, task.total or 0, self.progress.time_left.seconds))


def test_the_last_loss_too_is_counted_before_it_is_trained_and_the_time_is_that_of_all(tmp_path: Path) -> None:
    # Only the last loss extends its grid, so that nothing else could make up for it.
    plan = Plan.of([1e-3, 1e-2], [0.0], range(2), 1, extensions=3, refinements=0)
    bar = Watched(tuning=[2, 2, 2], further=plan.further_trainings)

    def score(title: str, seed: int, setting: Setting) -> float:
        return 0.5 + (setting.learning_rate if title == MSE().title else -setting.learning_rate)

    training = StubTraining(lambda *arguments: trained(score(*arguments)))
    test = EffectivenessTest(training, plan, ComparisonRecords(tmp_path), bar)
    assert len([*test.run(LOSSES)]) == 3
    assert len(training.calls) > 9
    assert all(done <= total for done, total, _ in bar.shown)
    assert bar.shown[-1][0] == bar.shown[-1][1] == len(training.calls)
    assert all(left == pytest.approx(10 * (total - done)) for done, total, left in bar.shown if left is not None)
    # What was trained before is counted, and says nothing of how long trainings take.
    again = Watched(tuning=[2, 2, 2], further=plan.further_trainings)
    assert len([*EffectivenessTest(training, plan, ComparisonRecords(tmp_path), again).run(LOSSES)]) == 3
    assert {left for _, total, left in again.shown if left} == set()
    assert again.shown[-1][0] == again.shown[-1][1] == bar.shown[-1][0]


def test_losses_to_come_are_expected_to_extend_their_grids_as_those_before(tmp_path: Path) -> None:
    plan = Plan.of([1e-3, 1e-2], [0.0], range(2), 1, extensions=2, refinements=0)
    bar = Watched(tuning=[2, 2, 2], further=plan.further_trainings)
    training = StubTraining(lambda *arguments: trained(high_rate(*arguments)))
    test = EffectivenessTest(training, plan, ComparisonRecords(tmp_path), bar)
    totals = [bar.progress.tasks[0].total for _ in test.run(LOSSES)]
    total = totals[1]
    assert total == bar.progress.tasks[0].total == len(training.calls)


@pytest.mark.parametrize(("rates", "said"), [([1e-3], ["BCE", "MSE"]), ([1e-3, 1e-2], [])])
def test_trials_that_a_loss_cannot_reach_are_said(rates: list[float], said: list[str]) -> None:
    plan = Plan.of(rates, [0.0], [1], 1, options={"gamma": [1.0, 2.0]}, trials=6)
    remarks = [*plan.shortfalls(LOSSES)]
    assert len(remarks) == len(said)
    for remark, label in zip(remarks, said, strict=True):
        assert remark.startswith(f"--compare.trials is 6, but {label} is tried with 1: ")
