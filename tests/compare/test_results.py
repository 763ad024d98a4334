import math
from pathlib import Path

import pytest
import torch
from sklearn.metrics import roc_auc_score

from lightning_modules.compare.criteria import AreaUnderCurve
from lightning_modules.compare.records import ComparisonRecords
from lightning_modules.compare.resampling import Resampled, resample
from lightning_modules.compare.results import LossResult, loss_results
from lightning_modules.compare.training import Measured
from lightning_modules.statistics.significance import holm
from lightning_modules.training.predictions import Scores
from lightning_modules.training.statuses import DIVERGED, TRAINED
from tests.compare.compare_helpers import FAST, compared, diverged, loss_result, measured, runs_of, scores_of, trained

AUC = AreaUnderCurve()
TITLES = ["BCE", "(label - pred)**2", "pred - label", "label - pred"]
LOSSES = [compared(title) for title in TITLES]
BASELINE = torch.tensor([0.70, 0.72, 0.71], dtype=torch.float64)


def table(gap: float, spread: float, resamples: int = 400, seeds: int = 3) -> torch.Tensor:
    """Return AUCs that lie above the baseline's by a gap, with noise of the rows that all losses do not share."""
    noise = torch.randn(resamples, 1, generator=torch.Generator().manual_seed(int(1000 * gap)), dtype=torch.float64)
    return BASELINE[:seeds] + gap + spread * noise


def resampled(gaps: dict[str, float], seeds: int = 3, confidence: float = 0.95) -> Resampled:
    aucs = {title: table(gap, 0.01 if gap else 0.0, seeds=seeds) for title, gap in gaps.items()}
    observed = {title: BASELINE[:seeds] + gap for title, gap in gaps.items()}
    return Resampled(aucs, observed, confidence, seed=0)


def placed(gaps: dict[str, float], seeds: int = 3) -> list[LossResult]:
    sound, broken = [TRAINED] * seeds, [TRAINED] * (seeds - 1) + [DIVERGED]
    runs = {title: runs_of([0.7] * seeds, sound if title in gaps else broken) for title in TITLES}
    settings, proper = dict.fromkeys(TITLES, FAST), dict.fromkeys(TITLES, False)
    return loss_results(LOSSES, settings, runs, proper, AUC, resampled(gaps, seeds))


def test_means_and_spreads_are_those_of_the_seeds() -> None:
    each = loss_result(compared(), runs_of([0.6, 0.9, 0.75]))
    assert each.is_sound
    assert each.score == pytest.approx(0.75)
    assert each.mean("test_auc") == pytest.approx(0.75)
    assert each.spread("test_auc") == pytest.approx(0.15)
    assert math.isnan(each.mean("test_ndcg"))
    assert math.isnan(loss_result(compared(), runs_of([0.6])).spread("test_auc"))


@pytest.mark.parametrize("status", ["diverged", "failed"])
def test_a_loss_that_broke_for_one_seed_has_no_mean(status: str) -> None:
    each = loss_result(compared(), runs_of([0.6, 0.9, 0.75], [TRAINED, status, TRAINED]))
    assert not each.is_sound
    assert each.broken_seeds == [1]
    assert each.score == -math.inf
    assert math.isnan(each.mean("test_auc"))
    assert math.isnan(each.spread("test_auc"))


def test_the_difference_is_the_mean_over_paired_seeds() -> None:
    first, second, *_ = placed({"BCE": 0.0, TITLES[1]: 0.03})
    assert second.difference.estimate == pytest.approx(0.03)
    assert second.difference.low < 0.03 < second.difference.high
    assert second.difference.standard_error == pytest.approx(0.01, rel=0.2)
    assert second.standard_error == pytest.approx(0.01, rel=0.2)
    assert math.isnan(first.difference.estimate)
    assert math.isnan(first.p_value)


def test_a_broken_loss_has_no_difference_and_does_not_spoil_the_others() -> None:
    gaps = {"BCE": 0.0, TITLES[1]: 0.02, TITLES[3]: -0.004}
    with_broken = placed(gaps)
    assert with_broken[2].broken_seeds == [2]
    assert math.isnan(with_broken[2].difference.estimate)
    assert math.isnan(with_broken[2].p_value)
    assert math.isnan(with_broken[2].standard_error)
    without = [each for each in placed(gaps | {TITLES[2]: 0.5}) if each.loss.title != TITLES[2]]
    for left, right in zip([with_broken[1], with_broken[3]], without[1:], strict=True):
        assert left.difference == right.difference


def test_p_values_are_adjusted_over_the_sound_losses() -> None:
    _, second, broken, fourth = placed({"BCE": 0.0, TITLES[1]: 0.02, TITLES[3]: -0.004})
    raw = [second.difference.p_value, fourth.difference.p_value]
    assert [second.p_value, fourth.p_value] == holm(raw)
    assert second.p_value == pytest.approx(2 * raw[0])
    assert fourth.p_value == raw[1] > raw[0]
    assert math.isnan(broken.p_value)


def test_without_a_sound_baseline_there_are_no_differences() -> None:
    for each in placed({TITLES[1]: 0.02, TITLES[2]: 0.01, TITLES[3]: 0.0}):
        assert math.isnan(each.difference.estimate)
        assert math.isnan(each.p_value)


def test_one_seed_gives_an_estimate_without_an_interval() -> None:
    _, second, *_ = placed(dict(zip(TITLES, (0.0, 0.02, 0.01, 0.01), strict=True)), seeds=1)
    assert second.difference.estimate == pytest.approx(0.02)
    assert math.isnan(second.difference.low)
    assert math.isnan(second.difference.high)
    assert math.isnan(second.p_value)


def test_the_interval_widens_with_the_confidence() -> None:
    gaps = {"BCE": 0.0, TITLES[1]: 0.01}
    narrow, wide = (resampled(gaps, confidence=each).difference(TITLES[1], "BCE") for each in (0.8, 0.99))
    assert wide.low < narrow.low < narrow.high < wide.high


def written(root: Path, skills: dict[str, float], seeds: range) -> ComparisonRecords:
    records = ComparisonRecords(root)
    for title, skill in skills.items():
        for seed in seeds:
            records.add_result(title, seed, FAST, trained(0.7), measured(seed, skill=skill))
    return records


@pytest.mark.parametrize("by_user", [True, False])
def test_resampling_starts_from_the_aucs_of_the_rows_as_they_are(tmp_path: Path, by_user: bool) -> None:
    seeds = range(5, 8)
    records = written(tmp_path, {"BCE": 0.5, "MSE": 1.5}, seeds)
    result = resample(records, AUC, ["MSE", "BCE"], seeds, by_user=by_user, resamples=300, confidence=0.9, seed=1)
    for title, skill in {"BCE": 0.5, "MSE": 1.5}.items():
        tests = [scores_of(2, seed, skill=skill) for seed in seeds]
        expected = [roc_auc_score(test.label, test.score) for test in tests]
        assert result.observed[title].tolist() == pytest.approx(expected)
        assert result.values[title].shape == (300, 3)
        assert result.values[title].mean(0).tolist() == pytest.approx(expected, abs=0.02)
        assert result.standard_error(title) == pytest.approx(float(result.values[title].mean(1).std()))


def test_resampling_users_draws_all_rows_of_a_user_together(tmp_path: Path) -> None:
    # Two users who are ranked perfectly by themselves and not together: rows alone would give many more AUCs.
    test = Scores(torch.tensor([0.1, 0.2, 0.6, 0.7]), torch.tensor([0.0, 1.0, 0.0, 1.0]), torch.tensor([0, 0, 1, 1]))
    records = ComparisonRecords(tmp_path)
    records.add_result("BCE", 0, FAST, trained(0.7), Measured({"test/auc": 0.75}, test, test))
    options = {"resamples": 200, "confidence": 0.95, "seed": 0}
    users = resample(records, AUC, ["BCE"], [0], by_user=True, **options).values["BCE"]  # type: ignore[arg-type]
    rows = resample(records, AUC, ["BCE"], [0], by_user=False, **options).values["BCE"]  # type: ignore[arg-type]
    assert set(users.flatten().tolist()) == {0.75, 1.0}
    assert len(set(rows[~rows.isnan()].tolist())) > 2


def test_resamples_with_a_single_class_do_not_spoil_standard_errors() -> None:
    generator = torch.Generator().manual_seed(0)
    label = torch.zeros(60)
    label[:4] = 1
    scores = [torch.randn(2, 60, generator=generator) + skill * label for skill in (0.0, 1.0)]
    options = {"resamples": 2000, "generator": generator, "progress": lambda done: None}
    values = dict(zip(["MSE", "BCE"], AUC.bootstrap(scores, label, torch.arange(60), **options), strict=True))  # type: ignore[arg-type]
    defined = values["BCE"][~values["BCE"].isnan().any(1)]
    assert 1900 < len(defined) < 2000
    observed = dict(zip(["MSE", "BCE"], [AUC.observed(each, label) for each in scores], strict=True))
    result = Resampled(values, observed)
    assert result.standard_error("BCE") == pytest.approx(defined.numpy().mean(1).std(ddof=1))
    assert not math.isnan(result.difference("MSE", "BCE").standard_error)


def test_of_a_single_resample_there_is_no_standard_error() -> None:
    values = torch.tensor([[0.7, 0.8], [math.nan, 0.7]], dtype=torch.float64)
    assert math.isnan(Resampled({"BCE": values}).standard_error("BCE"))


def test_the_same_seed_resamples_the_same_rows_for_any_choice_of_losses(tmp_path: Path) -> None:
    records = written(tmp_path, {"BCE": 0.5, "MSE": 1.5}, range(2))
    options = {"by_user": True, "resamples": 50, "confidence": 0.95}
    both = resample(records, AUC, ["BCE", "MSE"], range(2), seed=3, **options)  # type: ignore[arg-type]
    alone = resample(records, AUC, ["MSE"], range(2), seed=3, **options)  # type: ignore[arg-type]
    other = resample(records, AUC, ["MSE"], range(2), seed=4, **options)  # type: ignore[arg-type]
    assert torch.equal(both.values["MSE"], alone.values["MSE"])
    assert not torch.equal(alone.values["MSE"], other.values["MSE"])


def test_without_sound_losses_nothing_is_read(tmp_path: Path) -> None:
    records = ComparisonRecords(tmp_path)
    records.add_result("BCE", 0, FAST, diverged(), None)
    result = resample(records, AUC, [], [0], by_user=True, resamples=10, confidence=0.95, seed=0)
    assert math.isnan(result.standard_error("BCE"))
    assert math.isnan(result.difference("MSE", "BCE").estimate)
