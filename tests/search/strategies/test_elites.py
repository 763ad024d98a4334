import math

import pytest
import torch

from lightning_modules.search.screening import ScreeningResult
from lightning_modules.search.strategies.memory import Elites
from tests.search.search_helpers import equal, full_space, seeded, told

SPACE = full_space(nodes=3)


def test_the_best_are_kept_best_first() -> None:
    programs = SPACE.uniform(60, seeded())
    rewards = torch.randn(60, generator=seeded(1), dtype=torch.float64)
    elites = Elites(10)
    for batch in torch.arange(60).split(25):
        elites.update(told(programs[batch], rewards[batch]))
    best = rewards.argsort(descending=True)[:10]
    assert elites.programs is not None
    assert torch.equal(elites.rewards, rewards[best])
    assert equal(elites.programs, programs[best])


def test_only_programs_that_were_trained_themselves_count() -> None:
    programs = SPACE.uniform(4, seeded())
    elites = Elites(10)
    elites.update(told(programs, torch.ones(4), ScreeningResult.DUPLICATE))
    assert len(elites) == 0
    elites.update(told(programs, torch.tensor([1.0, math.nan, 2.0, math.inf])))
    assert elites.rewards.tolist() == [2.0, 1.0]


def test_programs_whose_training_broke_are_no_elites() -> None:
    programs = SPACE.uniform(20, seeded())
    elites = Elites(50)
    rewards = torch.full((20,), -1.0)
    elites.update(told(programs, rewards, broken=torch.ones(20, dtype=torch.bool)))
    assert len(elites) == 0
    rewards[4], rewards[7] = -3.0, -2.0
    elites.update(told(programs, rewards, broken=rewards == -1.0))
    assert elites.rewards.tolist() == [-2.0, -3.0]


def test_samples_are_members_and_all_members_are_sampled() -> None:
    programs = SPACE.uniform(5, seeded())
    elites = Elites(5)
    elites.update(told(programs, torch.arange(5.0)))
    sampled = elites.sample(200, seeded())
    assert len(sampled) == 200
    assert {tuple(row) for row in sampled.operands.flatten(1).tolist()} == {
        tuple(row) for row in programs.operands.flatten(1).tolist()
    }


def test_a_noisy_reward_has_to_be_higher_and_one_of_unknown_noise_counts_as_it_is() -> None:
    programs = SPACE.uniform(4, seeded())
    elites = Elites(3)
    errors = torch.tensor([0.3, 0.05, math.nan, 0.01])
    elites.update(told(programs, torch.tensor([0.5, 0.4, 0.3, 0.1]), errors=errors))
    assert elites.rewards.tolist() == pytest.approx([0.4, 0.3, 0.5])
    other = Elites(3)
    other.load_state_dict(elites.state_dict())
    for each in (elites, other):
        each.revise(torch.tensor([0]), torch.tensor([0.45], dtype=torch.float64), torch.tensor([0.01]).double())
        assert each.rewards.tolist() == pytest.approx([0.45, 0.4, 0.3])
