import math
import random

import pytest
from scipy.stats import norm

from lightning_modules.statistics.significance import holm, resolvable_difference


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
