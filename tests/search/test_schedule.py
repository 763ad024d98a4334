import copy

import pytest
import torch
from child_helpers import planted_data, untrained

from lightning_modules.recommenders import BiasedMF
from lightning_modules.search.evaluation import Evaluation
from lightning_modules.search.schedule import Alternating, FromScratch


@pytest.fixture
def recommender() -> BiasedMF:
    return untrained(planted_data())


def child(recommender: BiasedMF, score: float | None, bias: float = 0.0, status: str = "trained") -> Evaluation:
    """Return an evaluation whose model is known by its global bias."""
    model = copy.deepcopy(recommender)
    with torch.no_grad():
        model.global_bias.fill_(bias)
    return Evaluation(status, score, 0.1, model=None if status == "failed" else model)


def test_from_scratch_never_moves(recommender: BiasedMF) -> None:
    schedule = FromScratch(recommender)
    before = copy.deepcopy(recommender.state_dict())
    assert schedule.advance(child(recommender, score=0.9, bias=7.0)) is None
    assert schedule.advance(None) is None
    assert schedule.moves == 0
    assert all(torch.equal(value, before[name]) for name, value in schedule.recommender.state_dict().items())


def test_alternating_moves_on_with_a_rise_only(recommender: BiasedMF) -> None:
    schedule = Alternating(recommender, score=0.5)
    before = recommender.global_bias.item()
    moved = []
    for number, score in enumerate([0.5, 0.6, 0.55, 0.6, 0.6 + 5e-6, 0.61, 0.605]):
        moved.append((schedule.advance(child(recommender, score, bias=float(number))), recommender.global_bias.item()))
    assert [move for move, _ in moved] == [False, True, False, False, False, True, False]
    assert [bias for _, bias in moved] == [before, 1.0, 1.0, 1.0, 1.0, 5.0, 5.0]
    assert schedule.moves == 2
    assert schedule.recommender is recommender


def test_alternating_takes_over_all_weights_and_keeps_its_loss(recommender: BiasedMF) -> None:
    loss = recommender.loss
    other = untrained(planted_data(), seed=5)
    Alternating(recommender, score=0.5).advance(Evaluation("trained", 0.7, 0.1, model=other))
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in recommender.state_dict().items())
    assert recommender.loss is loss
    with torch.no_grad():
        other.global_bias.add_(1)
    assert recommender.global_bias != other.global_bias


@pytest.mark.parametrize("status", ["failed", "non-finite"])
def test_alternating_stays_where_no_child_could_be_trained(recommender: BiasedMF, status: str) -> None:
    schedule = Alternating(recommender, score=0.5)
    assert schedule.advance(child(recommender, score=None, bias=9.0, status=status)) is False
    assert schedule.advance(None) is False
    assert recommender.global_bias.item() != 9.0
    assert schedule.moves == 0
