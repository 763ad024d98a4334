"""What strategies found in several searches each, one strategy beside another."""

from itertools import combinations

import pandas as pd
from scipy import stats

from benchmarks.common.report import table


def strategy_differences(found: pd.DataFrame, metric: str, *, paired: bool) -> str:
    """Return a table of the difference of every two strategies, with Student's interval and two-sided p value.

    Args:
        found: A row for every search: columns ``strategy``, ``seed`` and the metric, in the order of the strategies.
        metric: Name of the column to compare; higher is better.
        paired: Whether searches with the same seed share what makes them alike, such as their data. Without, variances
            may differ (Welch, Biometrika 34, 1947).
    """
    of_strategies = {name: rows.set_index("seed")[metric] for name, rows in found.groupby("strategy", sort=False)}
    header = ["strategies", "searches each", f"{metric}, mean and sd", "difference", "95 % interval", "p"]
    return table(header, [_row(of_strategies, pair, paired) for pair in combinations(of_strategies, 2)])


def _row(of_strategies: dict[str, "pd.Series[float]"], names: tuple[str, str], paired: bool) -> list[str]:
    first, second = (of_strategies[name] for name in names)
    if paired:
        first, second = first.align(second, join="inner")
    test = stats.ttest_rel(first, second) if paired else stats.ttest_ind(first, second, equal_var=False)
    interval = test.confidence_interval()
    return [
        " and ".join(names),
        " and ".join(str(len(each)) for each in (first, second)),
        ", ".join(f"{each.mean():.4f} ± {each.std():.4f}" for each in (first, second)),
        f"{first.mean() - second.mean():+.4f}",
        f"{interval.low:+.4f} to {interval.high:+.4f}",
        f"{test.pvalue:.3f}",
    ]
