"""Behaviour policies, class-balancing weights, session scores and diagnostics."""

import math

import pytest
import torch

from lightning_modules.agents import SessionScore
from lightning_modules.agents.behaviour_policies import behaviour_policy
from lightning_modules.agents.class_balancing import class_balancing_weights
from lightning_modules.agents.diagnostics import EpochObservation, FiniteWatch
from lightning_modules.core.resumption import random_state, restore_random_state
from tests.agents.agent_helpers import TASKS, replayed

NOISE = {"mean": 0.0, "std": 0.4, "clip": 0.1}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_uniform_actions_are_uniform_and_do_not_ask_the_actor() -> None:
    def actor() -> torch.Tensor:
        raise AssertionError("the actor was asked")

    action = behaviour_policy("uniform", **NOISE).act(actor, torch.empty(20_000, 2), generator())
    assert action.shape == (20_000, 2)
    quantiles = torch.quantile(action[:, 0], torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0]))
    torch.testing.assert_close(quantiles, torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0]), atol=0.01, rtol=0)


def test_the_actors_actions_are_the_actors() -> None:
    probability = torch.rand(5, 2)
    action = behaviour_policy("actor", **NOISE).act(lambda: probability, torch.empty(5, 2), generator())
    assert torch.equal(action, probability)


def test_noise_is_clipped_and_actions_stay_probabilities() -> None:
    probability = torch.tensor([0.02, 0.5]).expand(5_000, 2)
    action = behaviour_policy("noisy_actor", **NOISE).act(lambda: probability, torch.empty(5_000, 2), generator())
    difference = action[:, 1] - 0.5
    assert difference.abs().max() <= 0.1 + 1e-6
    # Four fifths of the noise lie beyond the clip.
    assert (difference.abs() > 0.0999).float().mean().item() == pytest.approx(0.80, abs=0.02)
    assert (action >= 0).all()
    assert (action[:, 0] == 0).any()


def test_an_unknown_behaviour_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'greedy'.*uniform, actor, noisy_actor"):
        behaviour_policy("greedy", **NOISE)


def test_both_labels_weigh_the_same() -> None:
    label = (torch.rand(400, 2, generator=generator()) < torch.tensor([0.1, 0.6])).float()
    weight = class_balancing_weights(label)
    torch.testing.assert_close(weight.mean(dim=0), torch.ones(2))
    torch.testing.assert_close((weight * label).sum(dim=0), (weight * (1 - label)).sum(dim=0))
    assert torch.equal(class_balancing_weights(torch.ones(4, 1)), torch.ones(4, 1))
    assert torch.equal(class_balancing_weights(torch.zeros(4, 1)), torch.ones(4, 1))


def test_the_score_is_the_mean_of_the_sessions_sums() -> None:
    reward = -torch.arange(12.0).view(6, 2)
    session = torch.tensor([3, 3, 1, 1, 1, 0])
    score = SessionScore(TASKS)
    score.update(reward[:2], session[:2])
    score.update(reward[2:], session[2:])
    sums = [reward[session == each].sum(dim=0) for each in (0, 1, 3)]
    expected = torch.stack(sums).mean(dim=0)
    values = score.compute()
    assert values["score/click"] == pytest.approx(float(expected[0]))
    assert values["score/pay"] == pytest.approx(float(expected[1]))
    assert values["score"] == pytest.approx(float(expected.sum()))


def test_the_first_update_that_is_not_finite_is_told() -> None:
    watch, rows = FiniteWatch(), replayed()
    loss, value = torch.ones(2), -torch.rand(32, 2)
    watch.add(1, loss, value, rows)
    watch.check()
    broken = value.clone()
    broken[3, 1] = -math.inf
    watch.add(2, loss, broken, rows)
    watch.add(3, loss * math.nan, value, rows._replace(reward=rows.reward * 1e6))
    with pytest.raises(RuntimeError) as error:
        watch.check()
    assert "at update 2" in str(error.value)
    assert "Q from -inf to" in str(error.value)
    assert f"reward from {float(rows.reward.min()):g} to {float(rows.reward.max()):g}" in str(error.value)


def test_the_means_of_an_epoch_and_the_critics_that_are_constant() -> None:
    observation = EpochObservation(TASKS)
    value = torch.tensor([[-1.0, -2.0], [-3.0, -2.0]])
    observation.add_critics(torch.tensor([1.0, 2.0]), value)
    observation.add_critics(torch.tensor([3.0, 6.0]), value - torch.tensor([1.0, 5.0]))
    means = {name: float(mean) for name, mean in observation.means().items()}
    assert means == {
        "critic_loss": 3.0,
        "critic_loss/click": 2.0,
        "critic_loss/pay": 4.0,
        "q_mean/click": -2.5,
        "q_mean/pay": -4.5,
        "q_std/click": 1.0,
        "q_std/pay": 0.0,
    }
    assert observation.constant_tasks() == ["pay"]
    restored = EpochObservation(TASKS)
    restored.load_state_dict(observation.state_dict(), torch.device("cpu"))
    assert restored.means() == observation.means()


def test_torchs_random_numbers_go_on_from_a_state() -> None:
    torch.manual_seed(5)
    torch.rand(3)
    state = random_state(torch.device("cpu"))
    expected = torch.rand(4)
    torch.manual_seed(9)
    restore_random_state(state, torch.device("cpu"))
    assert torch.equal(torch.rand(4), expected)
