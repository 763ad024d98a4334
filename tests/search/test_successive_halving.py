"""Rising budgets: who goes on, and what the strategy is told of those who do not."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightning_modules.search.successive_halving import SuccessiveHalving, told_rewards

FLOOR = -1.0
SCORES = st.lists(st.none() | st.floats(0.0, 1.0).map(lambda value: round(value, 1)), min_size=1, max_size=30)
LADDERS = st.sets(st.integers(1, 40), min_size=1, max_size=4).map(sorted)


def test_a_ladder_of_one_budget_lets_nobody_go_on() -> None:
    assert SuccessiveHalving().epochs == (0,)
    assert SuccessiveHalving().survivors(0, [0.5, None]) == []
    assert SuccessiveHalving([3]).longest == 3


@pytest.mark.parametrize("epochs", [[], [3, 1], [1, 1], [0, 1], [-1], [-2, 3]])
def test_what_does_not_rise_is_no_ladder(epochs: list[int]) -> None:
    with pytest.raises(ValueError, match="rising numbers"):
        SuccessiveHalving(epochs)


def test_survivors_by_hand() -> None:
    ladder = SuccessiveHalving([1, 3, 10])
    scores = [0.1, 0.9, None, 0.5, 0.9, 0.2, 0.9]
    # ceil(7 / 3) = 3 of the first rung, the first of equals; ceil(7 * 3 / 10) = 3 of the second.
    assert ladder.survivors(0, scores) == [1, 4, 6]
    assert ladder.survivors(1, scores) == [1, 4, 6]
    assert ladder.survivors(2, scores) == []
    assert SuccessiveHalving([2, 4]).survivors(0, [0.1, 0.3, 0.3, 0.3]) == [1, 2]


@given(LADDERS, SCORES)
def test_survivors_are_the_best_of_the_trained(epochs: list[int], scores: list[float | None]) -> None:
    ladder = SuccessiveHalving(epochs)
    for rung in range(len(epochs) - 1):
        survivors = ladder.survivors(rung, scores)
        wanted = math.ceil(len(scores) * epochs[rung] / epochs[rung + 1])
        trained = [index for index, score in enumerate(scores) if score is not None]
        assert survivors == sorted(survivors)
        assert set(survivors) <= set(trained)
        assert len(survivors) == min(wanted, len(trained))
        for index in set(trained) - set(survivors):
            assert all((scores[each], -each) > (scores[index], -index) for each in survivors)


REWARDS = st.lists(
    st.tuples(st.sampled_from([FLOOR, -0.5, -0.2, 0.0, 0.1, 0.3]), st.integers(0, 3)), min_size=1, max_size=20
)


@given(REWARDS)
def test_told_rewards_follow_the_order_of_elimination(drawn: list[tuple[float, int]]) -> None:
    rewards, rungs = [each[0] for each in drawn], [each[1] for each in drawn]
    told = told_rewards(rewards, rungs, FLOOR)
    top = max(rungs)
    for index, (reward, rung) in enumerate(drawn):
        assert told[index] <= reward
        if rung == top:
            assert told[index] == reward
        further = [told[other] for other in range(len(drawn)) if rungs[other] > rung and told[other] > FLOOR]
        assert told[index] == min([reward, *further])
        same_rung = [other for other in range(len(drawn)) if rungs[other] == rung and rewards[other] <= reward]
        assert all(told[other] <= told[index] for other in same_rung)


def test_told_rewards_by_hand() -> None:
    # The second beats the third under the short budget, yet the third went further and did badly there.
    assert told_rewards([0.3, 0.2, -0.1, FLOOR], [1, 0, 1, 1], FLOOR) == [0.3, -0.1, -0.1, FLOOR]
