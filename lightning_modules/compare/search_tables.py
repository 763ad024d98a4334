"""The table of several searches, one row a search and one for the mean of each arm, as text and as numbers."""

import math
from collections.abc import Iterator, Sequence

import pandas as pd

from lightning_modules.compare.criteria import Criterion
from lightning_modules.compare.repeated_audit import ArmResult, SearchResult
from lightning_modules.statistics.significance import Difference
from lightning_modules.utilities.markdown import short

LEGEND = (
    "Difference: in the test metric, to the baseline with the same seeds; 0 where the user would keep the baseline. "
    "The standard error and the interval of a search are over rows and seeds; those of a mean count the spread between "
    "searches too, by Student's t with one degree of freedom less than there are searches (Behrens-Fisher)."
)


def search_header(criterion: Criterion) -> list[str]:
    """Return the names of the columns."""
    return ["search", "found", f"test {criterion.title}", "difference (se)", "interval", "candidates", "finalists"]


def search_cells(arms: Sequence[ArmResult]) -> list[list[str]]:
    """Return the rows: the searches of an arm, then their mean."""
    return [row for arm in arms for row in _cells(arm)]


def _cells(arm: ArmResult) -> Iterator[list[str]]:
    column = f"test_{arm.searches[0].result.criterion.metric}"
    for each in arm.searches:
        test, search = f"{each.result.mean(column):.4f}", each.search
        counts = [str(search.trained_candidates), str(search.finalists)]
        yield [search.name, short(each.found), test, *_figures(each.difference), *counts]
    name = f"mean of {len(arm.searches)}, {arm.arm}"
    spread = "-" if math.isnan(arm.spread) else f"sd between searches {arm.spread:.4f}"
    yield [name, spread, f"{arm.mean(column):.4f}", *_figures(arm.difference), "", ""]


def _figures(difference: Difference) -> list[str]:
    if math.isnan(difference.estimate):
        return ["-", "-"]
    if math.isnan(difference.low):
        return [f"{difference.estimate:+.4f}", "-"]
    interval = f"{difference.low:+.4f} to {difference.high:+.4f}"
    return [f"{difference.estimate:+.4f} ({difference.standard_error:.4f})", interval]


def search_numbers(arms: Sequence[ArmResult]) -> pd.DataFrame:
    """Return the rows as numbers."""
    rows = [row for arm in arms for row in (*(_numbers(each) for each in arm.searches), _mean(arm))]
    return pd.DataFrame(rows)


def _numbers(each: SearchResult) -> dict[str, object]:
    metric, search = f"test_{each.result.criterion.metric}", each.search
    return {
        "search": search.name,
        "group": search.arm,
        "searches": 1,
        "loss": each.result.loss.title,
        "keeps_baseline": not each.has_formula,
        "trained_candidates": search.trained_candidates,
        "finalists": search.finalists,
        metric: each.result.mean(metric),
        **_parts(each.difference),
    }


def _mean(arm: ArmResult) -> dict[str, object]:
    metric = f"test_{arm.searches[0].result.criterion.metric}"
    counts = {"search": "mean", "group": arm.arm, "searches": len(arm.searches)}
    spreads = {"sd_between_searches": arm.spread, "se_within_search": arm.within}
    return {**counts, metric: arm.mean(metric), **_parts(arm.difference), **spreads}


def _parts(difference: Difference) -> dict[str, float]:
    ends = {"low": difference.low, "high": difference.high}
    return {"difference": difference.estimate, **ends, "difference_se": difference.standard_error}
