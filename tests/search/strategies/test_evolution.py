import torch
from torch import Tensor

from lightning_modules.search.screening import ScreeningResult
from lightning_modules.search.space import Programs, SearchSpace
from lightning_modules.search.strategies import RandomSearch, RegularizedEvolution, Strategy
from tests.search.search_helpers import equal, full_space, seeded, share_of_operator, told, written

SPACE = SearchSpace(["negative", "log", "square"], nodes=6)


def chain(operator: str) -> Programs:
    """Return the program that applies one operator six times over, so that every node is used."""
    return written(SPACE, [(operator, node + 2) for node in range(6)])


def distance(programs: Programs, other: Programs) -> Tensor:
    differ = (programs.operators != other.operators) | (programs.operands != other.operands).any(-1)
    return differ.sum(1)


def born_of(strategy: RegularizedEvolution, parent: Programs, count: int = 400) -> float:
    """Return the share of proposals that are one change away from ``parent``."""
    return (distance(strategy.ask(count), parent) <= 1).double().mean().item()


def evolution(**options: int) -> RegularizedEvolution:
    return RegularizedEvolution(SPACE, seeded(), **{"population_size": 2, "most_changes": 1, **options})


def test_draws_are_uniform_until_the_population_is_complete() -> None:
    strategy, random_search = evolution(population_size=3), RandomSearch(SPACE, seeded())
    for size in (1, 2):
        assert equal(strategy.ask(50), random_search.ask(50))
        assert strategy.tell(told(chain("log"), torch.ones(1))) == {"population": size}
    strategy.tell(told(chain("log"), torch.ones(1)))
    assert born_of(strategy, chain("log")) == 1.0


def test_the_population_is_bounded_and_its_oldest_member_dies() -> None:
    strategy = evolution(tournament_size=10)
    strategy.tell(told(chain("log"), torch.tensor([9.0])))
    strategy.tell(told(chain("square"), torch.tensor([1.0])))
    assert born_of(strategy, chain("log")) > 0.97
    figures = strategy.tell(told(chain("negative"), torch.tensor([0.0])))
    # The best of all has grown old: the better one of the younger two is the parent.
    assert figures == {"population": 2}
    assert born_of(strategy, chain("log")) == 0.0
    assert born_of(strategy, chain("square")) > 0.97


def test_programs_whose_training_broke_have_no_children() -> None:
    strategy = evolution()
    assert strategy.tell(told(chain("log"), torch.tensor([-1.0]), broken=torch.tensor([True]))) == {"population": 0}
    assert strategy.tell(told(chain("square"), torch.tensor([-7.0]), broken=torch.tensor([False]))) == {"population": 1}


def test_a_larger_tournament_picks_the_better_parent_more_often() -> None:
    shares = []
    for tournament_size in (1, 2, 6):
        strategy = evolution(tournament_size=tournament_size)
        strategy.tell(told(Programs.concatenate([chain("log"), chain("square")]), torch.tensor([1.0, 2.0])))
        shares.append(born_of(strategy, chain("square"), count=4000))
    for share, tournament_size in zip(shares, (1, 2, 6), strict=True):
        assert abs(share - (1 - 0.5**tournament_size)) < 0.04


def test_only_trained_programs_enter_the_population() -> None:
    strategy = evolution()
    strategy.tell(told(chain("log"), torch.ones(1), ScreeningResult.DUPLICATE))
    assert strategy.tell(told(chain("log"), torch.tensor([torch.nan]))) == {"population": 0}


def mean_reward_of_last(strategy: Strategy, space: SearchSpace, rounds: int, count: int) -> float:
    mean = 0.0
    for _ in range(rounds):
        programs = strategy.ask(count)
        reward = share_of_operator(programs, space, "add")
        strategy.tell(told(programs, reward))
        mean = reward.mean().item()
    return mean


def test_it_improves_more_than_random_search_at_equal_tells() -> None:
    space = full_space(nodes=6)
    evolved = mean_reward_of_last(RegularizedEvolution(space, seeded()), space, rounds=15, count=50)
    drawn = mean_reward_of_last(RandomSearch(space, seeded()), space, rounds=15, count=50)
    assert drawn < 0.2
    assert evolved > drawn + 0.4


def test_parents_are_better_by_their_lower_bounds() -> None:
    strategy = evolution(tournament_size=10)
    strategy.tell(told(chain("log"), torch.tensor([0.5]), errors=torch.tensor([0.4])))
    strategy.tell(told(chain("square"), torch.tensor([0.3]), errors=torch.tensor([0.1])))
    later = evolution(tournament_size=10)
    later.load_state_dict(strategy.state_dict())
    assert born_of(strategy, chain("square")) > 0.97
    assert born_of(later, chain("square")) > 0.97
    later.revise(torch.tensor([0]), torch.tensor([0.5]).double(), torch.tensor([0.125]).double())
    assert {member[4] for member in later.state_dict()["members"]} == {0.125}
