"""Known losses as programs, and rounds that begin with them."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lightning_modules.losses import Formula, Numerics, Operation
from lightning_modules.search.sampling import Sampler
from lightning_modules.search.screening import Screening, ScreeningResult
from lightning_modules.search.seeds import known_programs
from lightning_modules.search.settings import SearchSettings
from lightning_modules.search.space import Programs, RankingSpace, SearchSpace
from lightning_modules.search.strategies import PPO, RandomSearch, RegularizedEvolution, Strategy
from tests.search.search_helpers import assert_valid, seeded

SPACES = [SearchSpace(nodes=12), RankingSpace(), RankingSpace(leaves=["pos", "neg", "gap", 1.0, 2.0], nodes=10)]


@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.dialect.name)
@given(st.integers(0, 10_000))
def test_a_decoded_program_is_encoded_as_the_same_formula(space: SearchSpace, seed: int) -> None:
    (formula,) = space.decode(space.uniform(1, seeded(seed)))
    operations = [node for node in formula.nodes if isinstance(node, Operation)]
    if any(len({*node.operands}) < len(node.operands) for node in operations):
        # Equal parts of a program are one node of its formula.
        with pytest.raises(ValueError, match="twice on one operand"):
            space.encode(formula)
        return
    program = space.encode(formula)
    assert_valid(program, space, 1)
    assert space.decode(program) == [formula]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("softplus(beta - pos_t)", "the leaf beta"),
        ("2 * gap", "the leaf 2"),
        ("sqrt(gap)", "the operator 'sqrt', which is not in the search space"),
        ("gap + gap", "the operator 'add', which is twice on one operand"),
        ("gap", "has 0 operators, and a program 1 to 6"),
        ("exp(exp(exp(exp(exp(exp(exp(gap)))))))", "has 7 operators"),
        ("label - pred", "the leaf label"),
    ],
)
def test_formulas_of_another_space_are_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        SearchSettings(space=RankingSpace(), seeds=[text]).named_seeds  # noqa: B018


def test_the_known_losses_can_be_trained() -> None:
    for space, count in ((SearchSpace(), 2), (RankingSpace(), 8)):
        programs = Programs.concatenate(known_programs(space))
        assert len(programs) >= count
        result = Screening(space, Numerics(), seeded()).screen(programs).result
        assert (result == ScreeningResult.TRAINABLE).sum() >= count


@pytest.mark.parametrize("kind", [PPO, RegularizedEvolution, RandomSearch])
def test_the_first_round_trains_seeds_and_the_strategy_learns_from_them(kind: type[Strategy]) -> None:
    settings = SearchSettings(space=RankingSpace(), seeds=["softplus(gap_t)", "logmeanexp(gap_t)"])
    space = settings.named_space
    strategy = kind(space, seeded())
    screening = Screening(space, Numerics(), seeded())
    sampler = Sampler(strategy, screening, candidates=5, batch_size=64, limit=64, seeds=settings.named_seeds)
    samples = sampler.sample(first=True)
    assert len(samples.programs) == 64
    assert len(samples.chosen) == 5
    assert [str(each) for each in space.decode(samples.programs[samples.chosen[:2]])] == settings.seeds
    later = sampler.sample()
    assert not {*map(str, space.decode(later.programs[later.chosen]))} & {*(settings.seeds or ())}


def test_without_seeds_nothing_changes() -> None:
    space = SearchSpace(nodes=4)
    drawn = []
    for first in (False, True):
        screening = Screening(space, Numerics(), seeded())
        sampler = Sampler(RandomSearch(space, seeded(1)), screening, candidates=3, batch_size=256, limit=1024)
        drawn.append(sampler.sample(first=first))
    assert torch.equal(drawn[0].chosen, drawn[1].chosen)
    assert SearchSettings().named_seeds is None
    assert Formula.parse("softplus(gap_t)") in RankingSpace().decode(
        Programs.concatenate(known_programs(RankingSpace()))
    )
