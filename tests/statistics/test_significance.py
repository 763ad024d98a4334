import math
import random
from collections.abc import Iterator

import pytest
import torch
from scipy import stats
from scipy.stats import norm
from torch import Tensor

from lightning_modules.statistics.auc import weighted_auc
from lightning_modules.statistics.bootstrap import bootstrap_aucs
from lightning_modules.statistics.significance import Difference, difference, holm, resolvable_difference
from tests.statistics.test_bootstrap import rows, seeded


def observed(scores: Tensor, label: Tensor) -> Tensor:
    return torch.cat([weighted_auc(score, label, torch.ones(1, len(label))) for score in scores])


def compared(aucs: Tensor, baseline: Tensor, seed: int = 0, confidence: float = 0.95) -> Difference:
    return difference(aucs, baseline, aucs.mean(0), baseline.mean(0), seeded(seed), confidence=confidence)


def test_seed_noise_alone_has_the_variance_of_a_mean_over_new_seeds() -> None:
    gaps = torch.tensor([0.01, -0.02, 0.03, 0.005], dtype=torch.float64)
    baseline = torch.full((100_000, 4), 0.7, dtype=torch.float64)
    result = compared(baseline + gaps, baseline)
    assert result.estimate == pytest.approx(float(gaps.mean()))
    assert result.standard_error**2 == pytest.approx(float(gaps.var()) / 4, rel=0.02)


def test_row_noise_alone_is_the_paired_bootstrap() -> None:
    common = torch.randn(4000, 1, generator=seeded(0), dtype=torch.float64)
    gap = 0.1 * torch.randn(4000, 1, generator=seeded(1), dtype=torch.float64)
    result = compared((common + gap).expand(-1, 3), common.expand(-1, 3))
    assert result.standard_error == pytest.approx(float(gap.std()))
    assert [result.low, result.high] == pytest.approx([order_statistic(gap, 100.025), -order_statistic(-gap, 100.025)])


def order_statistic(values: Tensor, place: float) -> float:
    """Return the value at a place, from 1, between the sorted ones."""
    below, above = values.flatten().sort().values[int(place) - 1 : int(place) + 1]
    return float(below + (above - below) * (place % 1))


def test_an_interval_of_few_draws_spans_them_all() -> None:
    gap = torch.tensor([[0.1], [0.2], [0.4]], dtype=torch.float64).expand(-1, 2)
    result = compared(gap, torch.zeros_like(gap))
    assert (result.low, result.high) == pytest.approx((0.1, 0.4))


@pytest.mark.parametrize("shift", [0.0, 0.5, 1.6, 1.8, 2.1, 2.4, 4.0])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_p_value_and_interval_agree_and_have_no_side(shift: float, confidence: float) -> None:
    gap = torch.randn(5000, 3, generator=seeded(0), dtype=torch.float64) * 0.2
    gap += torch.randn(5000, 1, generator=seeded(1), dtype=torch.float64) + shift
    zero = torch.zeros_like(gap)
    result, mirrored = compared(gap, zero, confidence=confidence), compared(zero, gap, confidence=confidence)
    assert (result.p_value < 1 - confidence) == (not result.low <= 0 <= result.high)
    assert 0 < result.p_value <= 1
    assert mirrored.p_value == pytest.approx(result.p_value, rel=0.3, abs=1e-3)
    assert (mirrored.estimate, mirrored.low, mirrored.high) == pytest.approx(
        (-result.estimate, -result.high, -result.low), abs=0.1
    )


def test_seed_noise_alone_gives_students_interval() -> None:
    gaps = torch.tensor([0.01, -0.02, 0.03, 0.005], dtype=torch.float64)
    baseline = torch.full((200_000, 4), 0.7, dtype=torch.float64)
    result = compared(baseline + gaps, baseline)
    expected = stats.t.interval(0.95, 3, loc=gaps.mean(), scale=gaps.std() / 2)
    assert [result.low, result.high] == pytest.approx(expected, abs=5e-4)
    assert result.p_value == pytest.approx(stats.ttest_1samp(gaps, 0).pvalue, abs=0.01)


#: Standard deviations of rows, seeds and their interaction; the first three differ most in what dominates.
SPREADS = [(0, 1, 0.7), (1, 0.3, 0.3), (0.1, 0, 1)]
MORE_SPREADS = [(0.2, 1, 1), (0.5, 1, 1), (1, 0, 0.5), (1, 0, 0)]


def layouts(trials: int, seeds: int, row: float, seed: float, interaction: float) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the gaps that a null comparison observes, [seeds], and those of its resamples."""
    generator = seeded(9)

    def noise(*shape: int) -> Tensor:
        of_rows = row * torch.randn(shape[0], 1, generator=generator, dtype=torch.float64)
        return of_rows + interaction * torch.randn(shape, generator=generator, dtype=torch.float64)

    observed = noise(trials, seeds) + seed * torch.randn(trials, seeds, generator=generator, dtype=torch.float64)
    for each in observed:
        yield each, each + noise(200, seeds)


@pytest.mark.parametrize("seeds", [2, 3])
@pytest.mark.parametrize("spreads", [*SPREADS, *(pytest.param(each, marks=pytest.mark.slow) for each in MORE_SPREADS)])
def test_the_level_holds_with_few_seeds_whatever_the_noise_is_made_of(seeds: int, spreads: tuple[float, ...]) -> None:
    trials, generator, p_values, covered = 1500, seeded(1), [], 0
    for gaps, resamples in layouts(trials, seeds, *spreads):
        zero = torch.zeros_like(resamples)
        result = difference(resamples, zero, gaps, zero[0], generator)
        p_values.append(result.p_value)
        covered += result.low <= 0 <= result.high
    for level in (0.05, 0.01):
        # Two standard errors, and what 200 resamples leave open.
        allowed = level + 2 * math.sqrt(level / trials) + 0.002
        assert sum(p_value <= level for p_value in p_values) / trials < allowed
    assert covered / trials > 0.95 - 0.0135


def test_where_rows_dominate_few_seeds_find_as_much_as_many() -> None:
    found = dict.fromkeys((3, 10), 0)
    for seeds in found:
        for gaps, resamples in layouts(400, seeds, 1, 0.1, 0.1):
            zero = torch.zeros_like(resamples)
            found[seeds] += difference(resamples + 3, zero, gaps + 3, zero[0], seeded(0)).p_value < 0.05
    assert min(found.values()) > 0.8 * 400
    assert found[3] > 0.95 * found[10]


def test_seeds_that_agree_by_chance_do_not_make_the_error_nothing() -> None:
    resamples = 0.1 * torch.randn(4000, 2, generator=seeded(0), dtype=torch.float64)
    found = difference(resamples, torch.zeros_like(resamples), torch.full((2,), 0.01), torch.zeros(2), seeded(1))
    assert found.standard_error == pytest.approx(0.1 / math.sqrt(2), rel=0.05)
    assert found.high - found.low == pytest.approx(2 * 1.96 * found.standard_error, rel=0.05)


# With two seeds the least variance, that of the bootstrap, makes the mean larger.
@pytest.mark.parametrize("seeds", [3, 10])
def test_the_variance_is_that_of_the_crossed_layout(seeds: int) -> None:
    row, seed, interaction = 0.6, 1.0, 0.8
    squares, means = 0.0, []
    for gaps, resamples in layouts(1500, seeds, row, seed, interaction):
        zero = torch.zeros_like(resamples)
        squares += difference(resamples, zero, gaps, zero[0], seeded(0)).standard_error ** 2 / 1500
        means.append(gaps.mean())
    assert squares == pytest.approx(row**2 + (seed**2 + interaction**2) / seeds, rel=0.08)
    assert squares == pytest.approx(float(torch.stack(means).var()), rel=0.12)


def test_p_value_is_neither_zero_nor_above_one() -> None:
    baseline = torch.full((99, 2), 0.5, dtype=torch.float64)
    assert compared(baseline + 0.1, baseline).p_value == pytest.approx(2 / 100)
    assert compared(baseline, baseline).p_value == 1


def test_no_difference_is_called_one_in_a_twentieth_of_comparisons_and_a_real_one_is_found() -> None:
    null = [trial(seed, quality=0.0) for seed in range(200)]
    real = [trial(seed, quality=1.0) for seed in range(20)]
    assert 0.005 <= sum(p < 0.05 for p in null) / 200 <= 0.1
    assert sum(p < 0.05 for p in real) >= 18


def trial(seed: int, quality: float) -> float:
    """Compare two losses of four seeds that both add noise of their own to a common score of 120 rows."""
    generator = seeded(seed)
    label = (torch.rand(120, generator=generator) < 0.5).float()
    common = label + torch.randn(120, generator=generator)
    own = torch.randn(2, 1, 120, generator=generator) * 0.5 + torch.randn(2, 4, 120, generator=generator) * 0.2
    scores = common + own + torch.tensor([quality, 0.0])[:, None, None] * label
    groups = torch.arange(120)
    loss, baseline = bootstrap_aucs(list(scores), label, groups, resamples=300, generator=generator)
    seen = [observed(score, label) for score in scores]
    return difference(loss, baseline, seen[0], seen[1], generator).p_value


def test_a_loss_that_diverged_for_a_seed_has_no_difference() -> None:
    score, label = rows(50, seed=0)
    scores = torch.stack([score, torch.full_like(score, math.nan)])
    healthy = torch.stack([score, -score])
    groups = torch.arange(50)
    diverged, baseline = bootstrap_aucs([scores, healthy], label, groups, resamples=20, generator=seeded(0))
    result = difference(diverged, baseline, observed(scores, label), observed(healthy, label), seeded(0))
    assert all(math.isnan(value) for value in vars(result).values())


def test_resamples_with_one_class_are_left_out() -> None:
    gap = torch.randn(500, 2, generator=seeded(0), dtype=torch.float64)
    gap[::2] = math.nan
    result = difference(gap, torch.zeros_like(gap), torch.ones(2), torch.zeros(2), seeded(4))
    without = difference(gap[1::2], torch.zeros(250, 2).double(), torch.ones(2), torch.zeros(2), seeded(4))
    assert result == without
    assert math.isfinite(result.p_value)


def test_one_seed_says_nothing_of_the_spread_between_seeds() -> None:
    with pytest.raises(ValueError, match="nothing is known of the spread between seeds"):
        compared(torch.rand(10, 1), torch.rand(10, 1))


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(ValueError, match="same resamples and seeds"):
        difference(torch.rand(10, 3), torch.rand(10, 2), torch.rand(3), torch.rand(2), seeded(0))
    with pytest.raises(ValueError, match=r"confidence .* got 95"):
        compared(torch.rand(10, 2), torch.rand(10, 2), confidence=95)


def test_holm_by_hand() -> None:
    # Sorted .005, .01, .03, .04 times 4, 3, 2, 1 is .02, .03, .06, .04, and the last may not fall below .06.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.6]) == [1.0, 1.0]
    assert holm([0.03]) == [0.03]
    assert holm([]) == []


def test_what_was_not_compared_does_not_count() -> None:
    first, missing, last = holm([0.02, math.nan, 0.04])
    assert [first, last] == pytest.approx([0.04, 0.04])
    assert math.isnan(missing)


def test_holm_keeps_the_order_and_only_raises() -> None:
    p_values = [random.Random(seed).random() ** 3 for seed in range(30)]
    adjusted = holm(p_values)
    pairs = sorted(zip(p_values, adjusted, strict=True))
    assert [after for _, after in pairs] == sorted(adjusted)
    assert all(before <= after <= 1 for before, after in pairs)


@pytest.mark.parametrize("p_value", [-0.1, 1.2])
def test_no_probability_is_refused(p_value: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        holm([0.5, p_value])


@pytest.mark.parametrize(("power", "level"), [(0.8, 0.05), (0.9, 0.01), (0.5, 0.05)])
def test_the_resolvable_difference_is_found_with_that_power(power: float, level: float) -> None:
    significant = norm.isf(level / 2) * 0.004
    smallest = resolvable_difference(significant, power=power, level=level)
    assert norm.sf(significant, loc=smallest, scale=0.004) == pytest.approx(power)


def test_twice_the_width_resolves_twice_the_difference() -> None:
    assert resolvable_difference(0.01) == pytest.approx(0.01 * (1 + 0.8416212 / 1.9599640))
    assert resolvable_difference(0.02) == pytest.approx(2 * resolvable_difference(0.01))
    assert math.isnan(resolvable_difference(math.nan))


def test_power_and_level_are_probabilities() -> None:
    with pytest.raises(ValueError, match=r"power is a probability .* got 80"):
        resolvable_difference(0.01, power=80)
    with pytest.raises(ValueError, match=r"level is a probability .* got 0"):
        resolvable_difference(0.01, level=0)
