import gc
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import pytorch_lightning as pl

from lightning_modules.compare.compared_losses import ComparedLoss
from lightning_modules.compare.events import CompareObserver
from lightning_modules.compare.protocol import EffectivenessTest, Plan
from lightning_modules.compare.records import ComparisonRecords
from lightning_modules.training.executors import TrainingExecutor
from lightning_modules.training.full_training import TrainingRun
from lightning_modules.training.tuning import Setting
from tests.compare.compare_helpers import StubTraining, compared, diverged, failed, trained
from tests.training.executors.fake_executor import FakeExecutor

LOSSES = [compared("BCE"), compared("(label - pred)**2"), compared("pred - label")]
SMALL, LARGE = Setting(0.001, 0.0), Setting(0.1, 0.0)
RATES = [0.001, 0.1]


def varied(title: str, seed: int, setting: Setting) -> TrainingRun:
    """Return another score for every training; the third loss diverges for one of the tested seeds."""
    if title == LOSSES[2].title and seed == 12:
        return diverged()
    return trained(0.6 + setting.learning_rate + len(title) / 1000 + seed / 10_000)


def prescribed(scores: Mapping[tuple[int, float], float | None]) -> Callable[[str, int, Setting], TrainingRun]:
    """Return trainings with scores by seed and learning rate; ``None`` is a divergence."""

    def outcome(title: str, seed: int, setting: Setting) -> TrainingRun:
        score = scores[seed, setting.learning_rate]
        return diverged() if score is None else trained(score)

    return outcome


def run(
    root: Path,
    training: StubTraining,
    plan: Plan,
    losses: Sequence[ComparedLoss] = LOSSES[:1],
    observer: CompareObserver | None = None,
    executor: TrainingExecutor | None = None,
) -> list[Setting]:
    test = EffectivenessTest(training, plan, ComparisonRecords(root), observer, executor)
    chosen = {compared.title: setting for compared, setting in test.run(losses)}
    return [chosen[compared.title] for compared in losses]


def results(root: Path) -> pd.DataFrame:
    return pd.read_csv(root / "results.csv").drop(columns="seconds")


PLANS = [
    Plan.of(RATES, [0.0], range(10, 13), 1),
    Plan.of(RATES, [0.0, 0.5], range(10, 13), 2),
    Plan.of(RATES, [0.0], range(10, 12), 2),
    Plan.of([0.1], [0.0], [10], 1),
]
FOLLOWED = Plan.of(RATES, [0.0], range(10, 13), 1, extensions=1, refinements=1)


def test_a_plan_is_the_grid_in_order_without_repetitions() -> None:
    plan = Plan.of([0.1, 0.001, 0.1], [0.5, 0.0], range(7, 10), 2)
    assert [(each.learning_rate, each.weight_decay) for each in plan.tuning.settings] == [
        (0.001, 0.0),
        (0.001, 0.5),
        (0.1, 0.0),
        (0.1, 0.5),
    ]
    assert (plan.seeds, plan.tuning_seeds) == ((7, 8, 9), (7, 8))


@pytest.mark.parametrize(("plan", "trainings"), [*zip(PLANS, [4, 9, 4, 1], strict=True)])
def test_a_fresh_start_trains_as_often_as_planned_and_a_repetition_never(
    tmp_path: Path, plan: Plan, trainings: int
) -> None:
    first, second = StubTraining(varied), StubTraining(varied)
    chosen = run(tmp_path, first, plan, LOSSES)
    assert plan.tuning_trainings(LOSSES[0].loss) + plan.further_trainings == trainings
    assert len(first.calls) == len(set(first.calls)) == trainings * len(LOSSES)
    before = (tmp_path / "results.csv").read_bytes()
    assert run(tmp_path, second, plan, LOSSES) == chosen
    assert second.calls == []
    assert (tmp_path / "results.csv").read_bytes() == before


def test_every_seed_is_tested_with_the_chosen_setting(tmp_path: Path) -> None:
    chosen = run(tmp_path, StubTraining(varied), PLANS[0], LOSSES)
    table = results(tmp_path)
    assert chosen == [LARGE] * 3
    assert table["seed"].tolist() == [10, 11, 12] * 3
    assert set(table["learning_rate"]) == {0.1}
    assert table["status"].tolist() == ["trained"] * 8 + ["diverged"]
    assert table["predictions"].isna().tolist() == [False] * 8 + [True]


@pytest.mark.parametrize(
    ("scores", "chosen"),
    [
        # The second is better for one of the seeds, the first on average.
        ({(1, 0.001): 0.70, (2, 0.001): 0.70, (1, 0.1): 0.50, (2, 0.1): 0.80}, SMALL),
        ({(1, 0.001): 0.70, (2, 0.001): 0.70, (1, 0.1): 0.65, (2, 0.1): 0.80}, LARGE),
        ({(1, 0.001): 0.70, (2, 0.001): 0.75, (1, 0.1): 0.75, (2, 0.1): 0.70}, SMALL),
        ({(1, 0.001): 0.60, (2, 0.001): 0.60, (1, 0.1): 0.90, (2, 0.1): None}, SMALL),
        ({(1, 0.001): None, (2, 0.001): 0.90, (1, 0.1): 0.20, (2, 0.1): 0.20}, LARGE),
        ({(1, 0.001): -3.0, (2, 0.001): -3.0, (1, 0.1): -2.0, (2, 0.1): -2.0}, LARGE),
        ({(1, 0.001): None, (2, 0.001): None, (1, 0.1): None, (2, 0.1): 0.9}, SMALL),
    ],
    ids=["mean", "other mean", "tie", "diverged", "diverged first", "negative", "nothing sound"],
)
def test_the_setting_with_the_best_mean_over_the_tuning_seeds_is_chosen(
    tmp_path: Path, scores: dict[tuple[int, float], float | None], chosen: Setting
) -> None:
    assert run(tmp_path, StubTraining(prescribed(scores)), Plan.of(RATES, [0.0], [1, 2], 2)) == [chosen]


def test_seeds_that_are_not_for_tuning_choose_nothing(tmp_path: Path) -> None:
    scores = {(1, 0.001): 0.6, (1, 0.1): 0.7, (2, 0.1): 0.1, (3, 0.1): None}
    training = StubTraining(prescribed(scores))
    assert run(tmp_path, training, Plan.of(RATES, [0.0], [1, 2, 3], 1)) == [LARGE]
    assert [(seed, setting.learning_rate) for _, seed, setting in training.calls] == [*scores]


def test_a_grid_that_is_extended_and_refined_trains_nothing_twice(tmp_path: Path) -> None:
    first, second = StubTraining(varied), StubTraining(varied)
    chosen = run(tmp_path, first, FOLLOWED)
    # Scores rise with the learning rate, so that it is followed to the last end and beyond.
    assert chosen[0].learning_rate > 0.1 * 100 * 0.99
    assert len(first.calls) == len(set(first.calls))
    assert [(seed, setting) for _, seed, setting in first.calls[-2:]] == [(11, chosen[0]), (12, chosen[0])]
    assert run(tmp_path, second, FOLLOWED) == chosen
    assert second.calls == []


@pytest.mark.parametrize("plan", [PLANS[0], FOLLOWED], ids=["grid", "followed"])
def test_a_comparison_that_was_broken_off_ends_as_one_that_was_not(tmp_path: Path, plan: Plan) -> None:
    losses = LOSSES[1:]
    whole = StubTraining(varied)
    run(tmp_path / "whole", whole, plan, losses)
    expected = results(tmp_path / "whole")
    for breaks_at in range(1, len(whole.calls) + 1):
        root = tmp_path / str(breaks_at)
        with pytest.raises(KeyboardInterrupt):
            run(root, StubTraining(varied, breaks_at), plan, losses)
        second = StubTraining(varied)
        run(root, second, plan, losses)
        pd.testing.assert_frame_equal(results(root), expected, check_exact=True)
        # What was tuned and not tested is all that can be lost, since models are kept in memory only.
        assert breaks_at - 1 + len(second.calls) <= len(whole.calls) + len(plan.tuning_seeds)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("slots", [1, 2, 5])
@pytest.mark.parametrize("plan", [PLANS[1], FOLLOWED], ids=["grid", "followed"])
def test_any_executor_ends_with_the_same_results(tmp_path: Path, plan: Plan, slots: int, seed: int) -> None:
    training, executor = StubTraining(varied), FakeExecutor(slots, seed)
    expected = run(tmp_path / "serial", StubTraining(varied), plan, LOSSES)
    assert run(tmp_path / "parallel", training, plan, LOSSES, executor=executor) == expected
    assert min(slots, 2) <= executor.most_running <= slots
    further = plan.further_trainings * len(LOSSES)
    tuned = pd.read_csv(tmp_path / "parallel" / "trainings.csv")
    assert len(training.calls) == len(set(training.calls)) == len(tuned) + further
    parallel, serial = (
        results(tmp_path / name).sort_values(["loss", "seed"], ignore_index=True) for name in ("parallel", "serial")
    )
    pd.testing.assert_frame_equal(parallel, serial, check_exact=True)


def test_a_training_that_kills_its_worker_twice_has_failed_and_no_other_one(tmp_path: Path) -> None:
    def deadly(arguments: tuple[Any, ...]) -> bool:
        return arguments[1].title == LOSSES[1].title and arguments[2:4] in [(11, LARGE), (10, SMALL)]

    chosen = run(tmp_path, StubTraining(varied), PLANS[0], LOSSES, executor=FakeExecutor(3, deadly=deadly))
    assert chosen == [LARGE] * 3
    table = results(tmp_path).set_index(["loss", "seed"])["status"]
    assert table[table == "failed"].index.tolist() == [(LOSSES[1].title, 11)]
    assert (table.drop((LOSSES[2].title, 12)) == "trained").sum() == 7
    tuned = pd.read_csv(tmp_path / "trainings.csv")
    assert tuned.loc[tuned["status"] == "failed", "error"].str.contains("its process died").tolist() == [True]


@pytest.mark.parametrize("slots", [1, 3])
def test_no_more_models_are_kept_than_the_best_and_those_that_are_trained(tmp_path: Path, slots: int) -> None:
    models: weakref.WeakSet[pl.LightningModule] = weakref.WeakSet()
    most = 0

    def outcome(title: str, seed: int, setting: Setting) -> TrainingRun:
        nonlocal most
        trained_run = trained(0.5 - setting.learning_rate / 100)
        models.add(trained_run.model)
        gc.collect()
        most = max(most, len(models))
        return trained_run

    plan = Plan.of([0.1 * rate for rate in range(1, 9)], [0.0], [1, 2], 1)
    run(tmp_path, StubTraining(outcome), plan, executor=FakeExecutor(slots))
    assert most <= 1 + slots


def test_the_predictions_after_a_break_are_those_without_one(tmp_path: Path) -> None:
    plan = PLANS[0]
    run(tmp_path / "whole", StubTraining(varied), plan)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "broken", StubTraining(varied, breaks_at=3), plan)
    run(tmp_path / "broken", StubTraining(varied), plan)
    whole, broken = (ComparisonRecords(tmp_path / name).test_scores("BCE", plan.seeds) for name in ("whole", "broken"))
    assert whole.equal(broken)


def test_a_larger_grid_trains_what_is_new_and_tests_the_setting_that_is_better_now(tmp_path: Path) -> None:
    run(tmp_path, StubTraining(varied), Plan.of(RATES, [0.0], [10, 11], 1))
    second = StubTraining(varied)
    assert run(tmp_path, second, Plan.of([*RATES, 0.2], [0.0], [10, 11], 1)) == [Setting(0.2, 0.0)]
    assert [(seed, setting.learning_rate) for _, seed, setting in second.calls] == [(10, 0.2), (11, 0.2)]
    assert results(tmp_path)["learning_rate"].tolist() == [0.2, 0.2]


def test_what_failed_is_tried_again(tmp_path: Path) -> None:
    plan = Plan.of([0.1], [0.0], [1, 2], 1)
    run(tmp_path, StubTraining(lambda title, seed, setting: failed("OSError: disk full")), plan)
    assert results(tmp_path)["status"].tolist() == ["failed", "failed"]
    second = StubTraining(varied)
    run(tmp_path, second, plan)
    assert [seed for _, seed, _ in second.calls] == [1, 2]
    assert results(tmp_path)["status"].tolist() == ["trained", "trained"]


class Counter(CompareObserver):
    def __init__(self) -> None:
        self.trained = 0
        self.results: list[tuple[str, int]] = []

    def on_trained(self, compared: ComparedLoss, *, known: bool = False) -> None:
        self.trained += 1

    def on_result(self, compared: ComparedLoss, row: Mapping[str, Any], run: TrainingRun) -> None:
        self.results.append((compared.title, row["seed"]))


@pytest.mark.parametrize("plan", PLANS)
def test_observers_count_every_training_also_those_done_before_and_see_new_results(tmp_path: Path, plan: Plan) -> None:
    first, second = Counter(), Counter()
    for counter in (first, second):
        run(tmp_path, StubTraining(varied), plan, observer=counter)
    trainings = plan.tuning_trainings(LOSSES[0].loss) + plan.further_trainings
    assert first.trained == second.trained == trainings
    assert first.results == [("BCE", seed) for seed in plan.seeds]
    assert second.results == []
