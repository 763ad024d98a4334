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


def drawing(strategy: Strategy, seed: int = 0, least_right_share: float = 0.0, **options: Any) -> Sampler:
    screening = Screening(SPACE, Numerics(), seeded(seed), least_right_share=least_right_share)
    return Sampler(strategy, screening, **{"candidates": 5, "draws": 64, "most_draws": 10_000, **options})


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
    rounds = drawing(random_search(), candidates=12)
    signatures = []
    for _ in range(4):
        draws = rounds()
        assert len(draws.chosen) == 12
        assert (draws.screened.verdict[draws.chosen] == ScreeningResult.TRAINABLE).all()
        assert draws.chosen.tolist() == sorted(draws.chosen.tolist())
        assert_valid(draws.programs, SPACE, len(draws.screened.verdict))
        signatures += draws.screened.signature[draws.chosen].tolist()
    assert len(set(signatures)) == 48


def test_programs_and_findings_stand_in_the_order_of_the_draws() -> None:
    strategy = Recording(SPACE, seeded())
    draws = drawing(strategy, candidates=30, draws=16, least_right_share=0.0)()
    drawn = len(draws.programs)
    assert drawn > 16
    assert drawn % 16 == 0
    assert len(strategy.asked) == drawn // 16
    assert equal(draws.programs, Programs.concatenate(strategy.asked))
    again = Screening(SPACE, Numerics(), seeded(), least_right_share=0.0)(draws.programs)
    assert torch.equal(draws.screened.right_share, again.right_share)
    assert len(again.signature[draws.chosen].unique()) == 30


def test_drawing_stops_with_the_batch_that_completes_the_candidates() -> None:
    strategy = Repeating(SQUARED_ERROR, PREDICTION)
    draws = drawing(strategy, candidates=2, draws=8)()
    assert strategy.asked == [8]
    assert draws.chosen.tolist() == [0, 1]


@pytest.mark.parametrize(("draws", "most_draws"), [(10, 40), (10, 35), (64, 10)])
def test_a_round_that_finds_nothing_draws_no_more_than_allowed(draws: int, most_draws: int) -> None:
    strategy = Repeating(PREDICTION)
    found = drawing(strategy, least_right_share=0.6, draws=draws, most_draws=most_draws)()
    assert len(found.chosen) == 0
    assert len(found.programs) == sum(strategy.asked)
    assert most_draws - draws < sum(strategy.asked) <= most_draws


def test_a_second_round_finds_nothing_where_everything_is_taken() -> None:
    rounds = drawing(Repeating(SQUARED_ERROR, PREDICTION), candidates=2, most_draws=64)
    assert len(rounds().chosen) == 2
    assert len(rounds().chosen) == 0


def test_what_was_trainable_but_not_chosen_may_be_chosen_later() -> None:
    rounds = drawing(Repeating(SQUARED_ERROR, PREDICTION), candidates=1, most_draws=64)
    chosen = [rounds() for _ in range(2)]
    assert {int(draws.screened.signature[draws.chosen]) for draws in chosen} == {0, 1}


def test_a_seed_determines_the_choice_among_too_many() -> None:
    first, second, other = (drawing(random_search(seed))() for seed in (0, 0, 1))
    assert torch.equal(first.chosen, second.chosen)
    assert not torch.equal(first.chosen, other.chosen)
