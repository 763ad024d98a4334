"""Exhaustive search: the order of its programs, and that none is lost."""

from collections.abc import Iterator

import torch
from torch import Tensor

from lightning_modules.losses import Numerics
from lightning_modules.search.enumeration import Enumeration
from lightning_modules.search.sampling import Sampler, Samples
from lightning_modules.search.screening import Screening, ScreeningResult
from lightning_modules.search.space import Programs, SearchSpace
from lightning_modules.search.strategies import ExhaustiveSearch, Outcome
from tests.search.search_helpers import equal, full_space, seeded, told

SPACE = SearchSpace(nodes=3)


def lengths(programs: Programs) -> list[int]:
    return programs.used(len(SPACE.leaves)).sum(1).tolist()


def searched(
    strategy: ExhaustiveSearch, rounds: int, candidates: int = 7, batch_size: int = 32
) -> Iterator[tuple[Samples, Tensor]]:
    """Search, rewarded by the mean slope where the largest is 1, and yield what was sampled and its reward."""
    screening = Screening(strategy.space, Numerics(), seeded(), least_right_share=0.0)
    sampler = Sampler(strategy, screening, candidates=candidates, batch_size=batch_size, limit=4096)
    for _ in range(rounds):
        samples = sampler.sample()
        gradient = samples.screened.gradient
        reward = gradient.mean(1) / gradient.abs().amax(1).clamp_min(1e-9)
        yield samples, reward
        told_of = torch.full_like(reward, torch.nan)
        told_of[samples.chosen] = reward[samples.chosen]
        strategy.tell(Outcome(samples.programs, samples.screened, told_of))


def distinct_signatures(operators: int) -> int:
    """Return how many programs with at most so many operators train in different ways."""
    screening, found = Screening(SPACE, Numerics(), seeded(), least_right_share=0.0), 0
    for number in range(1, operators + 1):
        every = Enumeration(SPACE, number)
        screened = screening.screen(every.programs(every.distinct()))
        trainable = screened.result == ScreeningResult.TRAINABLE
        screening.take(screened.signature[trainable])
        found += int(trainable.sum())
    return found


def test_programs_are_trained_from_the_shortest_on_and_none_is_lost() -> None:
    found: list[int] = []
    for samples, _ in searched(ExhaustiveSearch(SPACE, seeded()), rounds=40):
        found += lengths(samples.programs[samples.chosen])
    assert found == sorted(found)
    assert found.count(1) == distinct_signatures(1)
    assert found.count(1) + found.count(2) == distinct_signatures(2)
    assert 3 in found


def test_a_batch_holds_one_length_and_repeats_its_last_program() -> None:
    strategy = ExhaustiveSearch(SPACE, seeded())
    every = Enumeration(SPACE, 1)
    first = strategy.ask(len(every) + 5)
    assert {*lengths(first)} == {1}
    count = len(every.distinct())
    assert sorted(every.numbers(first)[:count].tolist()) == every.distinct().tolist()
    assert equal(first[count:], first[torch.full((len(first) - count,), count - 1)])
    assert {*lengths(strategy.ask(50))} == {2}


def test_what_is_not_told_of_is_asked_for_again() -> None:
    strategy = ExhaustiveSearch(SPACE, seeded())
    first = strategy.ask(8)
    strategy.tell(told(first[:3], torch.full((3,), torch.nan), ScreeningResult.WRONG_DIRECTION))
    assert equal(strategy.ask(5), first[3:])


def test_what_waits_is_asked_for_first() -> None:
    strategy = ExhaustiveSearch(SPACE, seeded())
    first = strategy.ask(8)
    rewards = torch.tensor([1.0, torch.nan] * 4)
    strategy.tell(told(first, rewards))
    assert equal(strategy.ask(4), first[torch.tensor([1, 3, 5, 7])])


def test_it_draws_uniformly_where_there_are_too_many() -> None:
    strategy = ExhaustiveSearch(SPACE, seeded(), most_programs=len(Enumeration(SPACE, 1)))
    strategy.ask(4096)
    random = torch.Generator()
    random.set_state(strategy.generator.get_state())
    assert equal(strategy.ask(30), SPACE.uniform(30, random))


def test_programs_with_a_high_predicted_reward_are_trained_first() -> None:
    assert late_reward(exploration=1.0) > late_reward(exploration=None) + 0.1


def late_reward(exploration: float | None) -> float:
    """Return the mean reward of what is trained after some rounds."""
    strategy = ExhaustiveSearch(full_space(nodes=3), seeded(), exploration=exploration)
    rounds = [*searched(strategy, rounds=10, candidates=5, batch_size=512)]
    return float(torch.cat([reward[samples.chosen] for samples, reward in rounds[4:]]).mean())
