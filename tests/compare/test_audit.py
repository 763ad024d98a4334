import math
from collections.abc import Sequence

import pytest
import torch

from lightning_modules.compare.audit import Audit, audit, difference_words
from lightning_modules.compare.compared_losses import GIVEN, RANDOM, SEARCH, ComparedLoss, SearchedLosses
from lightning_modules.compare.resampling import Resampled
from lightning_modules.compare.results import LossResult
from lightning_modules.statistics.significance import Difference, holm
from lightning_modules.training.statuses import DIVERGED, TRAINED
from tests.compare.compare_helpers import compared, loss_result, runs_of

BASELINE = compared("BCE")
FIRST, SECOND = compared("(label - pred)**2", "PPO #1", SEARCH), compared("abs(label - pred)", "PPO #2", SEARCH)
RIVAL = compared("exp(label - pred)", "RandomSearch #1", RANDOM)
OTHER = compared("sqrt(label - pred)", "sqrt(label - pred)", GIVEN)


def resampled(test_aucs: dict[str, float], *, noise: float = 0.002, seeds: int = 2) -> Resampled:
    """Return bootstrapped AUCs around some, where the seeds differ little and the rows more."""
    generator = torch.Generator().manual_seed(0)
    observed, aucs = {}, {}
    for title, auc in test_aucs.items():
        observed[title] = auc + 1e-4 * torch.arange(seeds, dtype=torch.float64)
        rows = noise * torch.randn(500, 1, generator=generator, dtype=torch.float64)
        aucs[title] = observed[title] + rows
    return Resampled(aucs, observed, 0.95, 0)


def judged(test_aucs: dict[str, float], *others: LossResult, seeds: int = 2) -> Audit:
    return judged_searches(searches_of(others), test_aucs, *others, seeds=seeds)


def judged_searches(
    searches: Sequence[SearchedLosses], test_aucs: dict[str, float], *others: LossResult, seeds: int = 2
) -> Audit:
    found = audit(searches, [loss_result(BASELINE), *others], resampled(test_aucs, seeds=seeds), trained_candidates=40)
    assert found is not None
    return found


def searches_of(results: Sequence[LossResult]) -> list[SearchedLosses]:
    """Return the search and the random search whose formulas are those of their groups."""
    groups = {arm: tuple(each.loss for each in results if each.loss.group == arm) for arm in (SEARCH, RANDOM)}
    return [SearchedLosses(arm, arm, losses) for arm, losses in groups.items() if losses]


@pytest.mark.parametrize(
    ("gap", "words", "beaten"),
    [(0.05, "beat", True), (-0.05, "lost to", False), (0.0005, "cannot be told apart from", False)],
)
def test_the_words_say_what_the_difference_is(gap: float, words: str, beaten: bool) -> None:
    audited = judged({"BCE": 0.7, FIRST.title: 0.7 + gap}, loss_result(FIRST))
    (result,) = audited.results
    assert (result.opponent, result.words, result.beaten) == ("BCE", words, beaten)
    assert result.difference.estimate == pytest.approx(gap)
    assert f"On held-out data the search {words} BCE: " in audited.sentence


def test_the_sentence_has_the_figures() -> None:
    audited = judged({"BCE": 0.7, FIRST.title: 0.75}, loss_result(FIRST, runs_of([0.74, 0.76])), loss_result(SECOND))
    difference = audited.results[0].difference
    assert "among its best 2 (PPO #1, after 40 trained candidates)" in audited.sentence
    assert "a test AUC of 0.7500 ± 0.0100 (standard error)" in audited.sentence
    assert f"interval {difference.low:+.4f} to {difference.high:+.4f}, p = " in audited.sentence


def test_validation_chooses_the_best_formula_and_not_the_test() -> None:
    good = loss_result(FIRST, runs_of([0.8, 0.8], test_auc=0.6))
    lucky = loss_result(SECOND, runs_of([0.7, 0.7], test_auc=0.9))
    aucs = {"BCE": 0.7, FIRST.title: 0.6, SECOND.title: 0.9}
    for order in ([good, lucky], [lucky, good]):
        audited = judged(aucs, *order)
        assert audited.best.loss is FIRST
        assert audited.results[0].words == "lost to"


def test_a_broken_formula_does_not_represent_the_search() -> None:
    broken = loss_result(FIRST, runs_of([0.9, 0.9], [TRAINED, DIVERGED]))
    audited = judged({"BCE": 0.7, SECOND.title: 0.7}, broken, loss_result(SECOND))
    assert audited.best.loss is SECOND
    assert audited.choices == 2


def test_random_search_is_represented_by_its_own_best_formula() -> None:
    aucs = {"BCE": 0.7, FIRST.title: 0.75, RIVAL.title: 0.8}
    audited = judged(aucs, loss_result(FIRST), loss_result(RIVAL), loss_result(OTHER))
    assert [result.opponent for result in audited.results] == ["BCE", "random search (RandomSearch #1)"]
    assert [result.words for result in audited.results] == ["beat", "lost to"]
    assert "beat BCE and lost to random search (RandomSearch #1)" in audited.sentence
    raw = [result.difference.p_value for result in audited.results]
    assert [result.p_value for result in audited.results] == holm(raw)


def test_a_broken_formula_of_random_search_is_no_opponent() -> None:
    broken = loss_result(RIVAL, runs_of([0.7, 0.7], [DIVERGED, TRAINED]))
    audited = judged({"BCE": 0.7, FIRST.title: 0.75}, loss_result(FIRST), broken)
    assert [result.opponent for result in audited.results] == ["BCE"]


def test_a_formula_that_both_searches_found_is_a_candidate_of_both() -> None:
    shared = compared(FIRST.title, "RandomSearch #2", RANDOM)
    arms = [SearchedLosses("ppo", SEARCH, (FIRST, SECOND)), SearchedLosses("random", RANDOM, (shared, RIVAL))]
    best, worst = runs_of([0.9, 0.9]), runs_of([0.6, 0.6])
    aucs = {"BCE": 0.7, FIRST.title: 0.75, SECOND.title: 0.8, RIVAL.title: 0.65}
    # Validation prefers the search's own formula, and of the random search the one that both have found.
    found = [loss_result(FIRST), loss_result(SECOND, best), loss_result(RIVAL, worst)]
    audited = judged_searches(arms, aucs, *found)
    assert (audited.best.loss, audited.choices) == (SECOND, 2)
    assert [each.opponent for each in audited.results] == ["BCE", "random search (RandomSearch #2, listed as PPO #1)"]
    assert audited.results[1].difference == resampled(aucs).difference(SECOND.title, FIRST.title)


@pytest.mark.parametrize("others", [(), (RIVAL,)])
def test_where_both_searches_chose_one_formula_the_difference_is_0(others: tuple[ComparedLoss, ...]) -> None:
    shared = compared(FIRST.title, "RandomSearch #2", RANDOM)
    arms = [SearchedLosses("ppo", SEARCH, (FIRST,)), SearchedLosses("random", RANDOM, (*others, shared))]
    rest = [loss_result(each, runs_of([0.6, 0.6])) for each in others]
    aucs = {"BCE": 0.7, FIRST.title: 0.75, RIVAL.title: 0.65}
    audited = judged_searches(arms, aucs, loss_result(FIRST), *rest)
    to_baseline, to_random = audited.results
    assert (to_random.difference.estimate, to_random.beaten, to_random.supports_nothing) == (0.0, False, False)
    # What is no test does not count among the tests.
    assert to_baseline.p_value == to_baseline.difference.p_value < 0.05
    random = "random search (RandomSearch #2, listed as PPO #1)"
    assert f"the search beat BCE and has the same loss as {random}: " in audited.sentence
    assert audited.sentence.endswith(f"; to {random} of 0, since the two are one loss.")


def test_a_search_that_found_the_baseline_has_no_difference_to_it() -> None:
    baseline, own = compared(FIRST.title, FIRST.title), compared(FIRST.title, "PPO #1", SEARCH)
    searches = [SearchedLosses("ppo", SEARCH, (own,))]
    audited = audit(searches, [loss_result(baseline)], resampled({FIRST.title: 0.7}), 40)
    assert audited is not None
    assert audited.outcome == f"has the same loss as {FIRST.title}"
    assert (audited.best.loss.label, audited.results[0].difference.estimate) == ("PPO #1", 0.0)


def test_without_a_searched_formula_that_was_trained_there_is_no_audit() -> None:
    broken = loss_result(FIRST, runs_of([0.7], [DIVERGED]))
    for others in ([], [loss_result(OTHER)], [loss_result(RIVAL)], [broken]):
        assert audit(searches_of(others), [loss_result(BASELINE), *others], resampled({"BCE": 0.7}), 40) is None


def test_one_seed_tests_nothing_but_has_an_estimate() -> None:
    audited = judged({"BCE": 0.7, FIRST.title: 0.75}, loss_result(FIRST, runs_of([0.8])), seeds=1)
    (result,) = audited.results
    assert math.isnan(result.p_value)
    assert (result.words, result.beaten) == ("could not be tested against", False)
    assert "to BCE of +0.0500, without an interval" in audited.sentence


def test_a_baseline_that_broke_leaves_no_figure() -> None:
    audited = judged({FIRST.title: 0.75}, loss_result(FIRST))
    assert audited.results[0].words == "could not be tested against"
    assert "nan" not in audited.sentence


@pytest.mark.parametrize(
    ("difference", "words"),
    [
        (Difference(0.0123, 0.001, 0.02, 0.005, 0.02), "of +0.0123 (interval +0.0010 to +0.0200, p = 0.041)"),
        (Difference(-0.01, math.nan, math.nan, math.nan, math.nan), "of -0.0100, without an interval"),
    ],
)
def test_a_difference_in_words(difference: Difference, words: str) -> None:
    assert difference_words(difference, 0.0412) == words
