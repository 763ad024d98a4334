from typing import Any

import pytest
import torch

from lightning_modules.losses import Numerics
from lightning_modules.search.sampling import Sampler
from lightning_modules.search.screening import Screening, ScreeningResult
from lightning_modules.search.space import Programs, SearchSpace
from lightning_modules.search.strategies import Outcome, RandomSearch, Strategy
from tests.search.search_helpers import PREDICTION, SQUARED_ERROR, assert_valid, equal, seeded, written

SPACE = SearchSpace(nodes=4)


class Repeating(Strategy):
    """Proposes the same programs over and over, and remembers how many it was asked for."""

    def __init__(self, *programs: list) -> None:
        super().__init__(SPACE, seeded())
        self.programs = written(SPACE, *programs)
        self.asked: list[int] = []

    def ask(self, count: int) -> Programs:
        self.asked.append(count)
        return self.programs[torch.arange(count) % len(self.programs)]

    def tell(self, outcome: Outcome) -> dict[str, float]:
        raise NotImplementedError


def sampler(strategy: Strategy, seed: int = 0, least_right_share: float = 0.0, **options: Any) -> Sampler:
    screening = Screening(SPACE, Numerics(), seeded(seed), least_right_share=least_right_share)
    return Sampler(strategy, screening, **{"candidates": 5, "batch_size": 64, "limit": 10_000, **options})


class Recording(RandomSearch):
    """Remembers what it proposed."""

    def __init__(self, space: SearchSpace, generator: torch.Generator) -> None:
        super().__init__(space, generator)
        self.asked: list[Programs] = []

    def ask(self, count: int) -> Programs:
        self.asked.append(super().ask(count))
        return self.asked[-1]


def random_search(seed: int = 0) -> RandomSearch:
    return RandomSearch(SPACE, seeded(seed))


def test_a_round_chooses_as_many_distinct_trainable_programs_as_asked_for() -> None:
    rounds = sampler(random_search(), candidates=12)
    signatures = []
    for _ in range(4):
        samples = rounds.sample()
        assert len(samples.chosen) == 12
        assert (samples.screened.result[samples.chosen] == ScreeningResult.TRAINABLE).all()
        assert samples.chosen.tolist() == sorted(samples.chosen.tolist())
        assert_valid(samples.programs, SPACE, len(samples.screened.result))
        signatures += samples.screened.signature[samples.chosen].tolist()
    assert len(set(signatures)) == 48


def test_programs_and_findings_stand_in_the_order_of_the_samples() -> None:
    strategy = Recording(SPACE, seeded())
    samples = sampler(strategy, candidates=30, batch_size=16, least_right_share=0.0).sample()
    count = len(samples.programs)
    assert count > 16
    assert count % 16 == 0
    assert len(strategy.asked) == count // 16
    assert equal(samples.programs, Programs.concatenate(strategy.asked))
    again = Screening(SPACE, Numerics(), seeded(), least_right_share=0.0).screen(samples.programs)
    assert torch.equal(samples.screened.right_share, again.right_share)
    assert len(again.signature[samples.chosen].unique()) == 30


def test_sampling_stops_with_the_batch_that_completes_the_candidates() -> None:
    strategy = Repeating(SQUARED_ERROR, PREDICTION)
    samples = sampler(strategy, candidates=2, batch_size=8).sample()
    assert strategy.asked == [8]
    assert samples.chosen.tolist() == [0, 1]


@pytest.mark.parametrize(("batch_size", "limit"), [(10, 40), (10, 35), (64, 10)])
def test_a_round_that_finds_nothing_samples_no_more_than_allowed(batch_size: int, limit: int) -> None:
    strategy = Repeating(PREDICTION)
    found = sampler(strategy, least_right_share=0.6, batch_size=batch_size, limit=limit).sample()
    assert len(found.chosen) == 0
    assert len(found.programs) == sum(strategy.asked)
    assert limit - batch_size < sum(strategy.asked) <= limit


def test_a_second_round_finds_nothing_where_everything_is_taken() -> None:
    rounds = sampler(Repeating(SQUARED_ERROR, PREDICTION), candidates=2, limit=64)
    assert len(rounds.sample().chosen) == 2
    assert len(rounds.sample().chosen) == 0


def test_what_was_trainable_but_not_chosen_may_be_chosen_later() -> None:
    rounds = sampler(Repeating(SQUARED_ERROR, PREDICTION), candidates=1, limit=64)
    chosen = [rounds.sample() for _ in range(2)]
    assert {int(samples.screened.signature[samples.chosen]) for samples in chosen} == {0, 1}


def test_a_seed_determines_the_choice_among_too_many() -> None:
    first, second, other = (sampler(random_search(seed)).sample() for seed in (0, 0, 1))
    assert torch.equal(first.chosen, second.chosen)
    assert not torch.equal(first.chosen, other.chosen)
