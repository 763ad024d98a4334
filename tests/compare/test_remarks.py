import math
from collections.abc import Sequence
from dataclasses import replace

import pandas as pd
import pytest

from lightning_modules.compare.audit import Audit, AuditResult
from lightning_modules.compare.compared_losses import SEARCH
from lightning_modules.compare.criteria import AreaUnderCurve, Criterion, MeanOverUsers
from lightning_modules.compare.protocol import Plan
from lightning_modules.compare.remarks import remarks
from lightning_modules.compare.results import LossResult
from lightning_modules.statistics.significance import Difference, resolvable_difference
from lightning_modules.training.statuses import DIVERGED, FAILED, TRAINED
from lightning_modules.training.tuning import Setting
from tests.compare.compare_helpers import FAST, compared, loss_result, runs_of

MIDDLE = Setting(0.01, 1e-4)
PLAN = Plan.of([0.001, 0.01, 0.1], [0.0, 1e-4, 1e-2], range(2), 1)
SQUARE = compared("(label - pred)**2", "PPO #1", SEARCH)


def told(*results: LossResult, plan: Plan = PLAN, audit: Audit | None = None) -> list[str]:
    return list(remarks(results, plan, audit, level=0.05))


def bce(runs: pd.DataFrame | None = None, setting: Setting = MIDDLE) -> LossResult:
    return loss_result(compared("BCE"), runs, setting=setting)


def square(half_width: float = math.nan, setting: Setting = MIDDLE, runs: pd.DataFrame | None = None) -> LossResult:
    return loss_result(
        SQUARE, runs, setting=setting, difference=Difference(0.01, 0.01 - half_width, 0.01 + half_width, 0.01, 0.05)
    )


def test_a_comparison_without_a_flaw_has_no_remark() -> None:
    assert told(bce(), square()) == []


def test_every_broken_training_is_told_on_one_line_with_its_error() -> None:
    runs = runs_of([0.7, 0.7, 0.7], [TRAINED, DIVERGED, FAILED], error=["", "", "ValueError: boom\n  and more"])
    broken, failed = told(bce(), square(runs=runs))
    assert broken == "PPO #1 diverged for seed 1; no mean over its seeds is given."
    assert failed == "PPO #1 failed for seed 2 (ValueError: boom and more); no mean over its seeds is given."


def test_trainings_that_the_last_epoch_ended_are_told_once() -> None:
    unfinished = runs_of([0.7, 0.7], converged=[True, False])
    (remark,) = told(bce(unfinished), square(runs=unfinished))
    assert remark.startswith("BCE, PPO #1 still improved shortly before the last epoch")
    assert "--trainer.max_epochs" in remark


def test_one_pass_is_not_told_to_go_on() -> None:
    once = runs_of([0.7, 0.7], converged=False, epochs=1)
    assert told(bce(once), square(runs=once)) == []


def test_a_broken_training_is_not_said_to_have_improved() -> None:
    runs = runs_of([0.7, math.nan], [TRAINED, DIVERGED], converged=[True, False])
    assert not any("improved" in remark for remark in told(bce(), square(runs=runs)))


@pytest.mark.parametrize(
    ("setting", "begin"),
    [
        (Setting(0.001, 1e-4), "The smallest learning rate that was tried was the best for PPO #1"),
        (Setting(0.1, 1e-4), "The largest learning rate that was tried was the best for PPO #1"),
        (Setting(0.01, 1e-2), "The largest weight decay that was tried was the best for PPO #1"),
    ],
)
def test_the_end_of_a_grid_is_told(setting: Setting, begin: str) -> None:
    (remark,) = told(bce(), square(setting=setting))
    assert remark.startswith(begin)


def test_losses_at_the_same_end_share_a_remark() -> None:
    (remark,) = told(bce(setting=Setting(0.1, 1e-4)), square(setting=Setting(0.1, 1e-4)))
    assert "BCE, PPO #1" in remark


def test_no_weight_decay_is_a_natural_end() -> None:
    assert told(bce(), square(setting=Setting(0.01, 0.0))) == []


def test_a_positive_smallest_weight_decay_is_an_end() -> None:
    plan = Plan.of([0.001, 0.01, 0.1], [1e-4, 1e-2], range(2), 1)
    (remark,) = told(bce(setting=Setting(0.01, 1e-4)), square(setting=Setting(0.01, 1e-4)), plan=plan)
    assert remark.startswith("The smallest weight decay that was tried was the best for BCE, PPO #1")


def test_a_grid_of_one_has_no_end() -> None:
    assert told(bce(setting=FAST), square(setting=FAST), plan=Plan.of([0.02], [1e-4], range(2), 1)) == []


@pytest.mark.parametrize(("rate", "due"), [(0.1, 0), (1.0, 0), (10.0, 1), (0.001, 0), (1e-5, 1), (5.62, 0), (17.8, 1)])
def test_the_end_of_a_grid_that_is_extended_lies_beyond_it(rate: float, due: int) -> None:
    plan = Plan.of([0.001, 0.01, 0.1], [0.0, 1e-4, 1e-2], range(2), 1, extensions=2, refinements=1)
    assert len(told(bce(), square(setting=Setting(rate, 1e-4)), plan=plan)) == due


def test_a_broken_loss_has_no_best_setting() -> None:
    broken = runs_of([0.7, 0.7], [DIVERGED, DIVERGED])
    assert not any("was tried" in remark for remark in told(bce(), square(setting=Setting(0.1, 0.01), runs=broken)))


@pytest.mark.parametrize("seeds", [1, 2])
def test_one_seed_is_told_to_give_no_intervals(seeds: int) -> None:
    plan = Plan.of([0.001, 0.01, 0.1], [0.0, 1e-4, 1e-2], range(seeds), 1)
    told_so = ["--compare.seeds" in remark for remark in told(bce(), square(), plan=plan)]
    assert told_so == [True] * (2 - seeds)


def test_the_resolution_is_that_of_the_median_loss() -> None:
    (remark,) = told(bce(), *(square(half_width) for half_width in (0.9, 0.002, math.nan, 0.001)))
    assert f"about {resolvable_difference(0.002):.4f}" in remark


@pytest.mark.parametrize(
    ("criterion", "words"),
    [
        (AreaUnderCurve(), "These test rows and seeds resolve a difference in AUC of"),
        (MeanOverUsers("ndcg@20"), "These test users and seeds resolve a difference in NDCG@20 of"),
    ],
)
def test_the_resolution_is_that_of_what_the_test_has(criterion: Criterion, words: str) -> None:
    (remark,) = told(*(replace(each, criterion=criterion) for each in (bce(), square(0.9))))
    assert remark.startswith(words)


@pytest.mark.parametrize(
    ("estimate", "p_value", "due"),
    # An interval of 0.02 to either side resolves 0.0286; what is significant below that is a conclusion all the same.
    [(0.001, 0.9, True), (-0.001, 0.9, True), (0.02, 0.06, True), (0.025, 0.01, False), (0.04, 0.0001, False)],
)
def test_a_search_that_the_split_cannot_judge_is_told(estimate: float, p_value: float, due: bool) -> None:
    difference = Difference(estimate, estimate - 0.02, estimate + 0.02, 0.01, p_value)
    result = AuditResult("BCE", difference, p_value, 0.05)
    found = told(bce(), square(), audit=Audit(square(), (result,), 1, 10))
    below = [remark for remark in found if f"search and BCE, {estimate:+.4f}, is below the 0.0286" in remark]
    assert len(below) == due


def test_an_audit_is_told_to_be_of_one_search() -> None:
    result = AuditResult("BCE", Difference(0.1, 0.08, 0.12, 0.01, 0.001), 0.001, 0.05)
    (remark,) = told(bce(), square(), audit=Audit(square(), (result,), 1, 10))
    assert "one search" in remark


def test_remarks_come_in_the_order_of_the_losses() -> None:
    broken = runs_of([0.7, 0.7], [DIVERGED, TRAINED])
    results: Sequence[LossResult] = [bce(), square(runs=broken), loss_result(compared("pred - label"), broken)]
    assert [remark.split(" diverged")[0] for remark in told(*results) if "diverged" in remark] == [
        "PPO #1",
        "pred - label",
    ]
