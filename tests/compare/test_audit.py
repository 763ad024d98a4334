import math

import pytest
import torch

from lightning_modules.compare.audit import Audit, audit, difference_words
from lightning_modules.compare.entrants import GIVEN, RANDOM, SEARCH
from lightning_modules.compare.results import LossResult, Resampled
from lightning_modules.statistics.bootstrap import Difference
from lightning_modules.statistics.significance import holm
from lightning_modules.training.convergence import DIVERGED, TRAINED
from tests.compare.compare_helpers import entrant, runs_of, standing

BASELINE = entrant("BCE")
FIRST, SECOND = entrant("(label - pred)**2", "PPO #1", SEARCH), entrant("abs(label - pred)", "PPO #2", SEARCH)
RIVAL = entrant("exp(label - pred)", "RandomSearch #1", RANDOM)
OTHER = entrant("sqrt(label - pred)", "sqrt(label - pred)", GIVEN)


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
    verdict = audit([standing(BASELINE), *others], resampled(test_aucs, seeds=seeds), budget=40)
    assert verdict is not None
    return verdict


@pytest.mark.parametrize(
    ("gap", "words", "beaten"),
    [(0.05, "beat", True), (-0.05, "lost to", False), (0.0005, "cannot be told apart from", False)],
)
def test_the_words_say_what_the_difference_is(gap: float, words: str, beaten: bool) -> None:
    result = judged({"BCE": 0.7, FIRST.title: 0.7 + gap}, standing(FIRST))
    (verdict,) = result.verdicts
    assert (verdict.opponent, verdict.words, verdict.beaten) == ("BCE", words, beaten)
    assert verdict.difference.estimate == pytest.approx(gap)
    assert f"On held-out data the search {words} BCE: " in result.sentence


def test_the_sentence_has_the_figures() -> None:
    result = judged({"BCE": 0.7, FIRST.title: 0.75}, standing(FIRST, runs_of([0.74, 0.76])), standing(SECOND))
    difference = result.verdicts[0].difference
    assert "among its best 2 (PPO #1, after 40 trained candidates)" in result.sentence
    assert "a test AUC of 0.7500 ± 0.0100 (standard error)" in result.sentence
    assert f"interval {difference.low:+.4f} to {difference.high:+.4f}, p = " in result.sentence


def test_validation_chooses_the_champion_and_not_the_test() -> None:
    good = standing(FIRST, runs_of([0.8, 0.8], test_auc=0.6))
    lucky = standing(SECOND, runs_of([0.7, 0.7], test_auc=0.9))
    aucs = {"BCE": 0.7, FIRST.title: 0.6, SECOND.title: 0.9}
    for order in ([good, lucky], [lucky, good]):
        result = judged(aucs, *order)
        assert result.champion.entrant is FIRST
        assert result.verdicts[0].words == "lost to"


def test_a_broken_formula_is_no_champion() -> None:
    broken = standing(FIRST, runs_of([0.9, 0.9], [TRAINED, DIVERGED]))
    result = judged({"BCE": 0.7, SECOND.title: 0.7}, broken, standing(SECOND))
    assert result.champion.entrant is SECOND
    assert result.candidates == 2


def test_random_search_is_held_against_by_its_own_champion() -> None:
    aucs = {"BCE": 0.7, FIRST.title: 0.75, RIVAL.title: 0.8}
    result = judged(aucs, standing(FIRST), standing(RIVAL), standing(OTHER))
    assert [verdict.opponent for verdict in result.verdicts] == ["BCE", "random search (RandomSearch #1)"]
    assert [verdict.words for verdict in result.verdicts] == ["beat", "lost to"]
    assert "beat BCE and lost to random search (RandomSearch #1)" in result.sentence
    raw = [verdict.difference.p_value for verdict in result.verdicts]
    assert [verdict.p_value for verdict in result.verdicts] == holm(raw)


def test_a_rival_that_broke_is_not_held_against() -> None:
    broken = standing(RIVAL, runs_of([0.7, 0.7], [DIVERGED, TRAINED]))
    result = judged({"BCE": 0.7, FIRST.title: 0.75}, standing(FIRST), broken)
    assert [verdict.opponent for verdict in result.verdicts] == ["BCE"]


def test_without_a_searched_formula_that_was_trained_there_is_no_audit() -> None:
    broken = standing(FIRST, runs_of([0.7], [DIVERGED]))
    for others in ([], [standing(OTHER)], [standing(RIVAL)], [broken]):
        assert audit([standing(BASELINE), *others], resampled({"BCE": 0.7}), 40) is None


def test_one_seed_tests_nothing_but_has_an_estimate() -> None:
    result = judged({"BCE": 0.7, FIRST.title: 0.75}, standing(FIRST, runs_of([0.8])), seeds=1)
    (verdict,) = result.verdicts
    assert math.isnan(verdict.p_value)
    assert (verdict.words, verdict.beaten) == ("could not be tested against", False)
    assert "to BCE of +0.0500, without an interval" in result.sentence


def test_a_baseline_that_broke_leaves_no_figure() -> None:
    result = judged({FIRST.title: 0.75}, standing(FIRST))
    assert result.verdicts[0].words == "could not be tested against"
    assert "nan" not in result.sentence


@pytest.mark.parametrize(
    ("difference", "words"),
    [
        (Difference(0.0123, 0.001, 0.02, 0.005, 0.02), "of +0.0123 (interval +0.0010 to +0.0200, p = 0.041)"),
        (Difference(-0.01, math.nan, math.nan, math.nan, math.nan), "of -0.0100, without an interval"),
    ],
)
def test_a_difference_in_words(difference: Difference, words: str) -> None:
    assert difference_words(difference, 0.0412) == words
