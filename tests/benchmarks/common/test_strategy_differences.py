import pandas as pd
import pytest

from benchmarks.common.strategy_differences import strategy_differences


def _searches(**metrics: list[float]) -> pd.DataFrame:
    rows = [
        {"strategy": name, "seed": seed, "test": value}
        for name, values in metrics.items()
        for seed, value in enumerate(values)
    ]
    return pd.DataFrame(rows)


def _cells(text: str) -> list[str]:
    return [cell.strip() for cell in text.splitlines()[2].strip("|").split("|")]


def test_searches_that_share_their_data_are_paired() -> None:
    # Differences .1, .2 and .3: a mean of .2 with a standard error of .1 / sqrt(3); t with 2 degrees of freedom at
    # 97.5 % is 4.3027, and P(|t| > 3.4641) = .0742.
    found = _searches(PPO=[0.5, 0.9, 0.2], RandomSearch=[0.4, 0.7, -0.1])
    _, searches, _, difference, interval, p_value = _cells(strategy_differences(found, "test", paired=True))
    assert searches == "3 and 3"
    assert difference == "+0.2000"
    low, high = (float(text) for text in interval.split(" to "))
    assert (low, high) == pytest.approx((0.2 - 4.3027 * 0.1 / 3**0.5, 0.2 + 4.3027 * 0.1 / 3**0.5), abs=1e-4)
    assert p_value == "0.074"


def test_other_searches_are_not_paired() -> None:
    # Variances of the means 1/3 and 1/3 of .01: a standard error of .0816, and 4 degrees of freedom (2.7764).
    found = _searches(PPO=[0.4, 0.5, 0.6], RandomSearch=[0.3, 0.2, 0.1])
    _, _, means, difference, interval, _ = _cells(strategy_differences(found, "test", paired=False))
    assert means == "0.5000 ± 0.1000, 0.2000 ± 0.1000"
    assert difference == "+0.3000"
    low, high = (float(text) for text in interval.split(" to "))
    assert (low, high) == pytest.approx((0.3 - 2.7764 * 0.0816, 0.3 + 2.7764 * 0.0816), abs=1e-3)


def test_every_two_strategies_have_a_row() -> None:
    found = _searches(PPO=[0.4, 0.5], RegularizedEvolution=[0.3, 0.2], RandomSearch=[0.1, 0.3])
    names = [line.split("|")[1].strip() for line in strategy_differences(found, "test", paired=False).splitlines()[2:]]
    assert names == ["PPO and RegularizedEvolution", "PPO and RandomSearch", "RegularizedEvolution and RandomSearch"]
