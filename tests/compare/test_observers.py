"""The bar of a comparison counts as many trainings as there are, whatever options the losses have."""

from pathlib import Path

import pytest
from rich.console import Console

from lightning_modules.compare.compared_losses import HAND_MADE, ComparedLoss
from lightning_modules.compare.observers import CompareProgress
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
    for compared in LOSSES:
        test.run(compared)
        assert len(training.calls) == task.completed <= task.total
    assert task.completed == task.total


@pytest.mark.parametrize(("rates", "said"), [([1e-3], ["BCE", "MSE"]), ([1e-3, 1e-2], [])])
def test_trials_that_a_loss_cannot_reach_are_said(rates: list[float], said: list[str]) -> None:
    plan = Plan.of(rates, [0.0], [1], 1, options={"gamma": [1.0, 2.0]}, trials=6)
    remarks = [*plan.shortfalls(LOSSES)]
    assert len(remarks) == len(said)
    for remark, label in zip(remarks, said, strict=True):
        assert remark.startswith(f"--compare.trials is 6, but {label} is tried with 1: ")
