"""What holds for every search strategy."""

import io
import math
from typing import Any

import pytest
import torch

from lightning_modules.search.screening import ScreeningResult
from lightning_modules.search.space import Programs, SearchSpace
from lightning_modules.search.strategies import (
    PPO,
    REINFORCE,
    ExhaustiveSearch,
    RandomSearch,
    RegularizedEvolution,
    Strategy,
)
from tests.search.search_helpers import assert_valid, equal, full_space, seeded, share_of_operator, told

STRATEGIES: list[type[Strategy]] = [PPO, REINFORCE, RandomSearch, RegularizedEvolution, ExhaustiveSearch]
#: Small ones, for what does not depend on the size.
OPTIONS: dict[type[Strategy], dict[str, Any]] = {
    PPO: {"hidden_size": 16},
    REINFORCE: {"hidden_size": 16},
    RandomSearch: {},
    ExhaustiveSearch: {},
    RegularizedEvolution: {"population_size": 20},
}
SPACE = full_space(nodes=4)

every_strategy = pytest.mark.parametrize("kind", STRATEGIES)


def build(kind: type[Strategy], seed: int = 0, space: SearchSpace = SPACE) -> Strategy:
    return kind(space, seeded(seed), **OPTIONS[kind])


def mean_reward(strategy: Strategy, count: int = 500) -> float:
    """Return the mean reward of proposals on the toy problem: the share of used nodes that add."""
    return share_of_operator(strategy.ask(count), strategy.space, "add").mean().item()


def search(strategy: Strategy, rounds: int, count: int = 40) -> list[Programs]:
    """Let a strategy work on the toy problem; return what it proposed."""
    proposals = []
    for _ in range(rounds):
        proposals.append(strategy.ask(count))
        strategy.tell(told(proposals[-1], share_of_operator(proposals[-1], strategy.space, "add")))
    return proposals


@every_strategy
@pytest.mark.parametrize("count", [1, 2, 33])
def test_proposals_are_as_many_valid_programs_as_asked_for(kind: type[Strategy], count: int) -> None:
    strategy = build(kind)
    assert_valid(strategy.ask(count), SPACE, count)
    for programs in search(build(kind), rounds=3, count=count):
        assert_valid(programs, SPACE, count)


@every_strategy
def test_a_seed_determines_the_whole_search(kind: type[Strategy]) -> None:
    first, second, other = (search(build(kind, seed), rounds=4) for seed in (0, 0, 1))
    assert all(equal(*programs) for programs in zip(first, second, strict=True))
    assert not any(equal(*programs) for programs in zip(first, other, strict=True))


@every_strategy
def test_torchs_own_randomness_is_left_alone(kind: type[Strategy]) -> None:
    strategy = build(kind)
    before = torch.get_rng_state()
    search(strategy, rounds=2)
    assert torch.equal(torch.get_rng_state(), before)


@every_strategy
def test_a_search_goes_on_from_its_state_as_if_nothing_had_happened(kind: type[Strategy]) -> None:
    strategy, resumed = build(kind, seed=0), build(kind, seed=7)
    search(strategy, rounds=4)
    file = io.BytesIO()
    torch.save(strategy.state_dict(), file)
    file.seek(0)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    for left, right in zip(search(strategy, rounds=3), search(resumed, rounds=3), strict=True):
        assert equal(left, right)


@every_strategy
def test_several_proposals_are_told_of_together(kind: type[Strategy]) -> None:
    strategy = build(kind)
    for _ in range(2):
        programs = Programs.concatenate([strategy.ask(5), strategy.ask(12), strategy.ask(3)])
        figures = strategy.tell(told(programs, share_of_operator(programs, SPACE, "add")))
        assert all(math.isfinite(value) for value in figures.values())
    assert_valid(strategy.ask(8), SPACE, 8)


@every_strategy
@pytest.mark.parametrize(
    "result", [ScreeningResult.ZERO_GRADIENT, ScreeningResult.WRONG_DIRECTION, ScreeningResult.DUPLICATE]
)
def test_a_round_without_any_reward_does_no_harm(kind: type[Strategy], result: ScreeningResult) -> None:
    strategy = build(kind)
    search(strategy, rounds=1)
    figures = strategy.tell(told(strategy.ask(20), torch.full((20,), torch.nan), result))
    assert all(math.isfinite(value) for value in figures.values())
    for programs in search(strategy, rounds=2):
        assert_valid(programs, SPACE, 40)


@every_strategy
def test_a_round_of_equal_rewards_does_no_harm(kind: type[Strategy]) -> None:
    strategy = build(kind)
    for count in (1, 30, 30):
        figures = strategy.tell(told(strategy.ask(count), torch.full((count,), -1.0)))
        assert all(math.isfinite(value) for value in figures.values())
    assert_valid(strategy.ask(20), SPACE, 20)


@pytest.mark.parametrize(
    ("kind", "rounds", "options"),
    [(PPO, 12, {}), (REINFORCE, 25, {}), (RegularizedEvolution, 25, {"population_size": 20})],
)
def test_proposals_get_better_on_a_toy_problem(kind: type[Strategy], rounds: int, options: dict[str, Any]) -> None:
    strategy, untold = (kind(SPACE, seeded(), **options) for _ in range(2))
    before = mean_reward(untold)
    search(strategy, rounds)
    assert before < 0.2
    assert mean_reward(strategy) > before + 0.15


@every_strategy
def test_a_round_in_which_everything_breaks_does_no_harm(kind: type[Strategy]) -> None:
    strategy = build(kind)
    for reward in (-1.0, -9.0):
        programs = strategy.ask(20)
        strategy.tell(told(programs, torch.full((20,), reward), broken=torch.ones(20, dtype=torch.bool)))
    assert_valid(strategy.ask(20), SPACE, 20)


def test_random_search_learns_nothing() -> None:
    strategy, untold = build(RandomSearch), build(RandomSearch)
    programs = search(strategy, rounds=2)
    assert equal(programs[0], SPACE.uniform(40, seeded()))
    untold.ask(40)
    assert equal(programs[1], untold.ask(40))
