"""The mean over searches: an interval that has in it what differs between searches, seeds and rows."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from lightning_modules.statistics.between_searches import ArmMetric, difference_between_searches
from lightning_modules.statistics.significance import difference
from tests.statistics.test_bootstrap import seeded

FIRST, SECOND = [0.71, 0.72, 0.74, 0.705], [0.70, 0.715, 0.69]
NO_RESAMPLING = 200_000


def arm(means: list[float], seeds: int = 3, *, is_searched: bool = True, resamples: int = NO_RESAMPLING) -> ArmMetric:
    """Return searches that neither rows nor seeds make any different."""
    observed = torch.tensor(means, dtype=torch.float64)[:, None].expand(-1, seeds)
    return ArmMetric(observed[:, None].expand(-1, resamples, -1), observed, is_searched)


BASELINE = arm([0.70], is_searched=False)


def test_between_searches_alone_it_is_students_interval() -> None:
    found = difference_between_searches(arm(FIRST), BASELINE, seeded(0), confidence=0.9)
    gaps = np.array(FIRST) - 0.70
    expected = stats.t.interval(0.9, len(gaps) - 1, loc=gaps.mean(), scale=stats.sem(gaps))
    assert found.estimate == pytest.approx(gaps.mean())
    assert [found.low, found.high] == pytest.approx(expected, abs=4e-4)
    assert found.standard_error == pytest.approx(stats.sem(gaps))
    assert found.p_value == pytest.approx(stats.ttest_1samp(gaps, 0).pvalue, abs=5e-3)


def behrens_fisher_quantile(share: float) -> float:
    """Return a quantile of the difference of two means by integration, without draws."""
    scales = stats.sem(FIRST), stats.sem(SECOND)
    grid = np.linspace(0.0005, 0.9995, 1000)
    points = scales[0] * stats.t.ppf(grid, len(FIRST) - 1)
    ends = -0.5, 0.5
    for _ in range(60):
        middle = sum(ends) / 2
        below = stats.t.cdf((middle - points) / scales[1], len(SECOND) - 1).mean()
        ends = (middle, ends[1]) if below < share else (ends[0], middle)
    return middle


def test_between_two_arms_it_is_the_test_of_behrens_and_fisher_and_wider_than_welchs() -> None:
    found = difference_between_searches(arm(FIRST), arm(SECOND), seeded(0))
    gap = np.mean(FIRST) - np.mean(SECOND)
    half = behrens_fisher_quantile(0.975)
    assert [found.low, found.high] == pytest.approx([gap - half, gap + half], abs=1e-3)
    welch = stats.ttest_ind(FIRST, SECOND, equal_var=False).confidence_interval(0.95)
    assert found.standard_error == pytest.approx(math.hypot(stats.sem(FIRST), stats.sem(SECOND)))
    # Welch's degrees of freedom are too many for so few searches.
    assert found.low < welch.low < welch.high < found.high
    mirrored = difference_between_searches(arm(SECOND), arm(FIRST), seeded(1))
    assert (mirrored.low, mirrored.p_value) == pytest.approx((-found.high, found.p_value), abs=5e-3)


def noisy(generator: torch.Generator, searches: int, *, search: float, shared: Tensor, resamples: int = 200) -> Tensor:
    """Return metrics [searches, 1 + resamples, seeds] of searches on the rows as they are and on resamples."""
    seeds = shared.shape[1]
    own = 0.3 * torch.randn(searches, 1 + resamples, 1, generator=generator, dtype=torch.float64)
    each = search * torch.randn(searches, 1, 1, generator=generator, dtype=torch.float64)
    trained = 0.3 * torch.randn(searches, 1, seeds, generator=generator, dtype=torch.float64)
    # A resample varies about the rows as they are.
    own[:, 1:] += own[:, :1]
    return shared + own + each + trained


@pytest.mark.parametrize(("search", "is_searched"), [(1.0, True), (0.0, True), (0.5, False)])
def test_the_level_holds_for_three_searches(search: float, is_searched: bool) -> None:
    trials, seeds, generator, significant = 300, 3, seeded(5), 0
    for _ in range(trials):
        rows = 0.5 * torch.randn(201, 1, generator=generator, dtype=torch.float64)
        rows[1:] += rows[:1]
        shared = rows + 0.3 * torch.randn(1, seeds, generator=generator, dtype=torch.float64)
        found = noisy(generator, 3, search=search, shared=shared)
        other = noisy(generator, 3, search=search, shared=0 * shared) if is_searched else torch.zeros_like(found[:1])
        arms = ArmMetric(found[:, 1:], found[:, 0]), ArmMetric(other[:, 1:], other[:, 0], is_searched)
        significant += difference_between_searches(*arms, generator).p_value < 0.05
    assert significant / trials < 0.05 + 2 * math.sqrt(0.05 / trials) + 0.002


def test_searches_that_find_one_loss_are_tested_as_that_loss() -> None:
    noise = 0.01 * torch.randn(2000, 4, generator=seeded(0), dtype=torch.float64)
    observed = 0.01 + 0.002 * torch.randn(4, generator=seeded(1), dtype=torch.float64)
    same = ArmMetric((observed + noise).expand(3, -1, -1), observed.expand(3, -1))
    zero = ArmMetric(
        torch.zeros(1, 2000, 4, dtype=torch.float64), torch.zeros(1, 4, dtype=torch.float64), is_searched=False
    )
    found = difference_between_searches(same, zero, seeded(2))
    single = difference(observed + noise, torch.zeros_like(noise), observed, torch.zeros_like(observed), seeded(2))
    assert found.standard_error == pytest.approx(single.standard_error)
    assert [found.low, found.high] == pytest.approx([single.low, single.high])


def test_searches_that_all_end_with_the_baseline_are_no_different() -> None:
    found = difference_between_searches(
        arm([0.70] * 3, resamples=50), arm([0.70], is_searched=False, resamples=50), seeded(0)
    )
    assert (found.estimate, found.low, found.high, found.p_value) == (0, 0, 0, 1)


@pytest.mark.parametrize(
    ("first", "second", "seeds"),
    [(FIRST[:1], SECOND, 3), (FIRST, SECOND[:1], 3), (FIRST, SECOND, 1)],
)
def test_nothing_is_known_of_a_spread_that_was_seen_once(first: list[float], second: list[float], seeds: int) -> None:
    found = difference_between_searches(arm(first, seeds, resamples=50), arm(second, seeds, resamples=50), seeded(0))
    assert found.estimate == pytest.approx(np.mean(first) - np.mean(second))
    assert all(map(math.isnan, (found.low, found.high, found.p_value)))
