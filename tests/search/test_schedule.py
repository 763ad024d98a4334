import copy

import pytest
import torch
from torch import Tensor

from lightning_modules.recommenders import BiasedMF
from lightning_modules.search.schedule import Alternating, FromScratch
from tests.search.child_helpers import planted_data, untrained


@pytest.fixture
def recommender() -> BiasedMF:
    return untrained(planted_data())


def weights(recommender: BiasedMF, bias: float) -> dict[str, Tensor]:
    """Return weights that are known by their global bias."""
    return {**copy.deepcopy(recommender.state_dict()), "global_bias": torch.tensor(bias)}


def test_from_scratch_never_moves(recommender: BiasedMF) -> None:
    schedule = FromScratch(recommender)
    before = copy.deepcopy(recommender.state_dict())
    assert not schedule.wants(0.9)
    assert not schedule.wants(None)
    assert schedule.stay() is None
    assert schedule.moves == 0
    assert all(torch.equal(value, before[name]) for name, value in schedule.recommender.state_dict().items())


def test_alternating_moves_on_with_a_rise_only(recommender: BiasedMF) -> None:
    schedule = Alternating(recommender, score=0.5)
    before = recommender.global_bias.item()
    moved = []
    for number, score in enumerate([0.5, 0.6, 0.55, 0.6, 0.6 + 5e-6, 0.61, 0.605]):
        wanted = schedule.wants(score)
        if wanted:
            schedule.move(weights(recommender, float(number)), score)
        moved.append((wanted, recommender.global_bias.item()))
    assert [move for move, _ in moved] == [False, True, False, False, False, True, False]
    assert [bias for _, bias in moved] == [before, 1.0, 1.0, 1.0, 1.0, 5.0, 5.0]
    assert schedule.moves == 2
    assert schedule.recommender is recommender


def test_alternating_takes_over_all_weights_and_keeps_its_loss(recommender: BiasedMF) -> None:
    loss = recommender.loss
    other = untrained(planted_data(), seed=5)
    Alternating(recommender, score=0.5).move(other.state_dict(), 0.7)
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in recommender.state_dict().items())
    assert recommender.loss is loss
    with torch.no_grad():
        other.global_bias.add_(1)
    assert recommender.global_bias != other.global_bias


def test_alternating_stays_where_no_child_could_be_trained(recommender: BiasedMF) -> None:
    schedule = Alternating(recommender, score=0.5)
    assert not schedule.wants(None)
    assert schedule.stay() is False


def test_a_schedule_goes_on_where_it_was(recommender: BiasedMF) -> None:
    schedule = Alternating(recommender, score=0.5)
    untouched = schedule.state_dict()
    schedule.move(weights(recommender, 7.0), 0.6)
    state = copy.deepcopy(schedule.state_dict())
    other = Alternating(untrained(planted_data()), score=0.5)
    other.load_state_dict(untouched)
    assert (other.moves, other.recommender.state_dict()["global_bias"].item()) != (1, 7.0)
    assert other.wants(0.6)
    other.load_state_dict(state)
    assert (other.moves, other.recommender.state_dict()["global_bias"].item()) == (1, 7.0)
    assert not other.wants(0.6)
