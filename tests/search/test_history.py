"""The history of a search, and its state."""

import io
import math

import pytest
import torch

from lightning_modules.search.history import SearchHistory
from lightning_modules.search.sampling import Samples
from tests.search.observer_helpers import candidate, reference
from tests.search.search_helpers import PREDICTION, REVERSED_ERROR, SQUARED_ERROR, full_space, told, written

SPACE = full_space()


def samples(signature: list[int], chosen: list[int]) -> Samples:
    programs = written(SPACE, *[(SQUARED_ERROR, REVERSED_ERROR, PREDICTION)[number % 3] for number in signature])
    screened = told(programs, torch.zeros(len(signature))).screened
    screened.signature.copy_(torch.tensor(signature))
    return Samples(programs, screened, torch.tensor(chosen, dtype=torch.int64))


def saved(history: SearchHistory) -> SearchHistory:
    """Return a history that has gone through a file."""
    buffer = io.BytesIO()
    torch.save(history.state_dict(), buffer)
    buffer.seek(0)
    other = SearchHistory(history.most_failures)
    other.load_state_dict(torch.load(buffer, weights_only=True))
    return other


def test_a_sample_has_its_own_reward_or_that_of_the_same_gradient() -> None:
    history = SearchHistory(3)
    outcome = history.outcome(samples([0, 1, 2, 1], [0, 1]), [0.5, -0.25])
    assert outcome.reward[[0, 1, 3]].tolist() == [0.5, -0.25, -0.25]
    assert math.isnan(outcome.reward[2])
    for later in (history, saved(history)):
        again = later.outcome(samples([2, 1, 4], [0]), [0.125]).reward
        assert again[:2].tolist() == [0.125, -0.25]
        assert math.isnan(again[2])


def test_a_gradient_that_is_known_has_its_reward_before_anything_is_trained() -> None:
    history = SearchHistory(3)
    history.know(1, 0.0)
    for later in (history, saved(history)):
        outcome = later.outcome(samples([1, 2], [1]), [0.5], errors=[0.25])
        assert outcome.reward.tolist() == [0.0, 0.5]
        assert outcome.error.tolist() == [0.0, 0.25]


def test_a_sample_has_the_standard_error_of_its_reward() -> None:
    history = SearchHistory(3)
    outcome = history.outcome(samples([0, 1, 2, 1], [0, 1]), [0.5, -0.25], errors=[0.01, None])
    assert outcome.standard_error.tolist() == pytest.approx([0.01, math.nan, math.nan, math.nan], nan_ok=True)
    old = SearchHistory(3)
    state = history.state_dict()
    old.load_state_dict({name: value for name, value in state.items() if name != "signature_errors"})
    for later, first in ((history, 0.01), (saved(history), 0.01), (old, math.nan)):
        again = later.outcome(samples([0, 1, 4], [1]), [0.125], errors=[0.02])
        assert again.error.tolist() == pytest.approx([first, 0.02, math.nan], nan_ok=True)
        later.revise(torch.tensor([0]), torch.tensor([0.75]).double(), torch.tensor([0.03125]).double())
        assert later.outcome(samples([0], []), []).error.tolist() == [0.03125]


def test_a_state_holds_everything() -> None:
    history = SearchHistory(2)
    everything = [
        reference("BCE", 0.0),
        candidate(formula="pred - label", reward=0.1 + 0.2, metric=1 / 3),
        candidate(formula="pred", reward=0.9, epochs=1, position=2),
        candidate(formula="label", status="failed", reward=-1.0, metric=None, error="'quotes'", position=3, epochs=3),
        candidate(formula="label - pred", reward=0.2, epochs=3, position=4),
    ]
    for each in everything:
        history.add(each)
    other = saved(history)
    assert other.candidates == everything
    assert other.top(10) == history.top(10)
    assert [str(formula) for formula, _ in other.top(2)] == ["label - pred", "pred"]
    assert [str(formula) for formula, _ in other.top(9)] == ["label - pred", "pred", "pred - label"]


def test_what_broke_is_told_less_than_anything_that_was_trained() -> None:
    history = SearchHistory(9)
    assert history.failure_reward == -1.0
    history.add(candidate(status="failed", reward=-1.0, metric=None))
    assert history.failure_reward == -1.0
    history.add(candidate(reward=-4.0))
    assert history.failure_reward < -4.0
    outcome = history.outcome(samples([0, 1, 2, 1], [0, 1]), [-4.0, history.failure_reward], [False, True])
    history.add(candidate(reward=-700.0))
    for later in (history, saved(history)):
        told_later = later.outcome(samples([1, 0, 3], [2]), [-700.0])
        assert told_later.reward.isfinite().all()
        assert told_later.reward[0] < told_later.reward[2] < told_later.reward[1]
        assert told_later.broken.tolist() == [True, False, False]
    assert outcome.broken.tolist() == [False, True, False, True]
    assert outcome.reward[1] == outcome.reward[3] < outcome.reward[0] == -4.0
    assert math.isnan(outcome.reward[2])


def test_too_many_failures_in_a_row_end_a_search() -> None:
    history = SearchHistory(3)
    failed = candidate(status="failed", reward=-1.0, metric=None, error="ValueError: no rows")
    for each in (failed, failed, candidate(), failed, failed):
        history.add(each)
        history.check()
    history.add(reference("BCE", 0.0))
    history.check()
    history.add(failed)
    with pytest.raises(RuntimeError, match=r"3 candidates in a row failed, the last of them .*no rows"):
        history.check()


def test_failures_of_an_earlier_process_do_not_count() -> None:
    history = SearchHistory(2)
    failed = candidate(status="failed", reward=-1.0, metric=None)
    for _ in range(3):
        history.add(failed)
    history = saved(history)
    history.check()
    for _ in range(3):
        history.add(failed, known=True)
    history.add(failed)
    history.check()
    history.add(failed)
    with pytest.raises(RuntimeError, match="2 candidates in a row failed"):
        history.check()
