"""The audit of several searches, whose unit is the search."""

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from rich.console import Console
from scipy import stats

from lightning_modules.compare.compared_losses import RANDOM, SEARCH, ComparedLoss, SearchedLosses
from lightning_modules.compare.repeated_audit import RepeatedAudit, repeated_audit
from lightning_modules.compare.report import ComparisonReport
from lightning_modules.compare.resampling import Resampled
from lightning_modules.compare.results import LossResult
from lightning_modules.compare.search_tables import search_cells, search_header, search_numbers
from lightning_modules.statistics.significance import holm
from lightning_modules.training.statuses import DIVERGED, TRAINED
from tests.compare.compare_helpers import compared, loss_result, runs_of, table_rows

BASELINE = compared("BCE")
FORMULAS = [f"(label - pred)**2 * {place + 2}" for place in range(6)]
GAPS = [0.012, 0.016, 0.019, 0.001, 0.004, -0.002]
LOSSES = [
    compared(text, f"{name} #1", arm)
    for text, name, arm in zip(FORMULAS, "abcdef", [SEARCH] * 3 + [RANDOM] * 3, strict=True)
]
BY_CHANCE = [SearchedLosses(name, RANDOM, (loss,), 40) for name, loss in zip("def", LOSSES[3:], strict=True)]


def searched(name: str, *losses: ComparedLoss, **fields: Any) -> SearchedLosses:
    return SearchedLosses(name, SEARCH, losses, **{"trained_candidates": 40, "finalists": 5, **fields})


SEARCHES = [searched(name, loss) for name, loss in zip("abc", LOSSES[:3], strict=True)]


def resampled(resamples: int = 40_000, seeds: int = 2) -> Resampled:
    """Return a metric that differs between losses alone, not between rows and seeds."""
    metrics = {BASELINE.title: 0.7, **{text: 0.7 + gap for text, gap in zip(FORMULAS, GAPS, strict=True)}}
    observed = {loss.title: torch.full((seeds,), metrics[loss.title], dtype=torch.float64) for loss in all_losses()}
    values = {title: each.expand(resamples, -1) for title, each in observed.items()}
    return Resampled(values, observed, 0.95, 0)


def all_losses() -> list[ComparedLoss]:
    return [BASELINE, *LOSSES]


def results() -> list[LossResult]:
    gaps = dict(zip([loss.title for loss in LOSSES], GAPS, strict=True))
    return [loss_result(loss, runs_of([0.7 + gaps.get(loss.title, 0.0)] * 2)) for loss in all_losses()]


def judged(*searches: SearchedLosses, found: list[LossResult] | None = None, **options: int) -> RepeatedAudit:
    values = resampled(**options)
    titled = {text: values.values[loss.title] for text, loss in zip(FORMULAS, LOSSES, strict=True)}
    assert len(titled) == len(LOSSES)
    return repeated_audit(searches, found or results(), values, 40)


def test_the_unit_is_the_search() -> None:
    verdict = judged(*SEARCHES, *BY_CHANCE)
    ours, theirs = np.array(GAPS[:3]), np.array(GAPS[3:])
    to_baseline, to_random = verdict.results
    assert [each.opponent for each in verdict.results] == ["BCE", "random search"]
    assert to_baseline.difference.estimate == pytest.approx(ours.mean())
    interval = stats.t.interval(0.95, 2, loc=ours.mean(), scale=stats.sem(ours))
    assert [to_baseline.difference.low, to_baseline.difference.high] == pytest.approx(interval, abs=4e-4)
    assert to_random.difference.estimate == pytest.approx(ours.mean() - theirs.mean())
    assert to_random.difference.standard_error == pytest.approx(math.hypot(stats.sem(ours), stats.sem(theirs)))
    raw = [stats.ttest_1samp(ours, 0).pvalue, to_random.difference.p_value]
    assert [each.p_value for each in verdict.results] == pytest.approx(holm(raw), abs=5e-3)
    assert [arm.spread for arm in verdict.arms] == pytest.approx([ours.std(ddof=1), theirs.std(ddof=1)])


def test_the_sentence_has_the_figures_and_the_limits_say_that_there_are_few() -> None:
    verdict = judged(*SEARCHES, *BY_CHANCE)
    assert verdict.sentence.startswith(
        "Over 3 searches and 3 random searches of 40 trained candidates each, the search beat BCE and "
    )
    assert f"The standard deviation between searches is {np.std(GAPS[:3], ddof=1):.4f}; " in verdict.sentence
    first, second, *_ = verdict.limits()
    assert first.startswith("3 searches tell little")
    assert second.startswith("3 random searches tell little")


def test_a_search_that_found_nothing_counts_as_the_baseline() -> None:
    verdict = judged(*SEARCHES[:2], searched("c", found_nothing=True), searched("g"))
    *_, nothing, unfit = verdict.arms[0].searches
    assert [nothing.found, unfit.found] == [
        "nothing that beats the baseline: BCE",
        "no formula that passes the check: BCE",
    ]
    assert nothing.difference.estimate == 0
    gaps = np.array([*GAPS[:2], 0, 0])
    (result,) = verdict.results
    assert result.difference.estimate == pytest.approx(gaps.mean())
    assert result.difference.standard_error == pytest.approx(stats.sem(gaps))


def test_where_no_search_found_anything_nothing_is_tested() -> None:
    by_chance = [SearchedLosses(name, RANDOM, (), 40, found_nothing=True) for name in "de"]
    verdict = judged(*(searched(name, found_nothing=True) for name in "ab"), *by_chance)
    assert "the search has the same loss as BCE and has the same loss as random search" in verdict.sentence
    assert all(math.isnan(each.p_value) and each.difference.estimate == 0 for each in verdict.results)
    assert not [limit for limit in verdict.limits() if "no conclusion" in limit]


def test_validation_chooses_among_the_formulas_of_a_search_and_a_broken_one_leaves_the_baseline() -> None:
    found = results()
    broken = loss_result(LOSSES[2], runs_of([0.9, 0.9], [TRAINED, DIVERGED]))
    found[3] = broken
    of_two = searched("a", LOSSES[0], LOSSES[1], LOSSES[2])
    verdict = judged(of_two, searched("c", LOSSES[2]), found=found)
    best, lost = verdict.arms[0].searches
    assert best.result.loss is LOSSES[1]
    assert lost.found == "no formula that could be trained: BCE"


def test_one_search_against_several_is_not_tested() -> None:
    verdict = judged(SEARCHES[0], *BY_CHANCE)
    assert "could not be tested against BCE and could not be tested against random search" in verdict.sentence
    assert "nan" not in verdict.sentence
    assert next(verdict.limits()).startswith("One search tells nothing of the spread between searches")


def test_one_seed_leaves_the_estimates() -> None:
    verdict = judged(*SEARCHES, seeds=1, found=[loss_result(each, runs_of([0.7])) for each in all_losses()])
    assert verdict.results[0].difference.estimate == pytest.approx(np.mean(GAPS[:3]))
    assert math.isnan(verdict.results[0].p_value)
    assert "nan" not in verdict.sentence


def report(verdict: RepeatedAudit) -> ComparisonReport:
    return ComparisonReport(results(), verdict, (), "BiasedMF on data", verdict.arms)


def test_the_page_has_a_row_a_search_and_the_verdict(tmp_path: Path) -> None:
    verdict = judged(*SEARCHES, *BY_CHANCE)
    report(verdict).write(tmp_path)
    section, rest = (tmp_path / "summary.md").read_text().split("## Searches\n\n")[1].split("## Losses\n\n")
    assert section.startswith("Over 3 searches and 3 random searches")
    rows = table_rows(section)
    assert rows[0] == search_header(verdict.criterion)
    assert [row[0] for row in rows[2:]] == [
        *("a", "b", "c", "mean of 3, search"),
        *("d", "e", "f", "mean of 3, random search"),
    ]
    assert {len(row) for row in rows} == {len(rows[0])}
    assert "| BCE |" in rest
    assert (tmp_path / "searches.png").read_bytes().startswith(b"\x89PNG")
    names = [text.get_text() for text in report(verdict).searches_figure().axes[0].texts]
    assert sum("mean of 3" in name for name in names) == 2


def test_the_csv_has_the_numbers_and_goes_when_there_are_no_searches(tmp_path: Path) -> None:
    verdict = judged(*SEARCHES, *BY_CHANCE)
    report(verdict).write(tmp_path)
    table = pd.read_csv(tmp_path / "searches.csv")
    assert len(table) == len(search_numbers(verdict.arms)) == len(search_cells(verdict.arms)) == 8
    single, means = table[table["searches"] == 1], table[table["search"] == "mean"]
    assert single["difference"].tolist() == pytest.approx(GAPS)
    assert means["sd_between_searches"].tolist() == pytest.approx([arm.spread for arm in verdict.arms])
    ComparisonReport(results(), None, (), "").write(tmp_path)
    assert not (tmp_path / "searches.csv").exists()


def test_the_terminal_shows_the_searches() -> None:
    output = io.StringIO()
    console = Console(file=output, width=120, force_terminal=True, color_system=None)
    report(judged(*SEARCHES, *BY_CHANCE)).print(console, Path("runs/compare"))
    text = output.getvalue()
    assert "Searches compared with BCE" in text
    assert "sd between searches" in text
    assert max(len(line) for line in text.splitlines()) <= 120
