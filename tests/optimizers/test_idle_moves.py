"""Sums of idle moves against the moves themselves, added up."""

import numpy as np
import pytest

from lightning_modules.optimizers.idle_moves import idle_tables


@pytest.mark.parametrize(("beta1", "beta2", "shrinkage"), [(0.9, 0.999, 1.0), (0.0, 0.9, 1.0), (0.5, 0.95, 0.98)])
def test_differences_of_the_tables_are_the_sums(beta1: float, beta2: float, shrinkage: float) -> None:
    tables = idle_tables(beta1, beta2, shrinkage)
    last = tables.totals.shape[1] - 1
    for since, until in ((1, 2), (1, 50), (7, 8), (30, 300), (3000, 3500)):
        steps = np.arange(since, until, dtype=np.float64)
        means = (beta1 / shrinkage) ** (steps - since) / (1 - beta1**steps)
        roots = np.sqrt((1 - beta2**steps) / beta2 ** (steps - since))
        decay = min(until - since, tables.powers.shape[1] - 1)
        for place, power in enumerate((-2, -1, 0, 1)):
            begin, end = tables.totals[place, min(since, last)], tables.totals[place, min(until, last)]
            assert begin - tables.powers[place, decay] * end == pytest.approx((means * roots ** (1 + power)).sum())
    assert tables.mean_decay[1] == beta1
    assert tables.square_decay[1] == beta2


def test_moves_without_a_finite_sum_are_refused() -> None:
    with pytest.raises(ValueError, match="diverge"):
        idle_tables(0.9, 0.999, 0.5)
