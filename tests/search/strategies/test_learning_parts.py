"""The parts that a policy learns from: archive, advantages and surrogate."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from lightning_modules.losses import Numerics
from lightning_modules.search.screening import Screening, ScreeningResult
from lightning_modules.search.space import Programs, SearchSpace
from lightning_modules.search.strategies import PPO, Outcome
from lightning_modules.search.strategies.advantages import AdvantageEstimator
from lightning_modules.search.strategies.memory import Archive
from lightning_modules.search.strategies.surrogate import Surrogate
from tests.search.search_helpers import equal, seeded, told

SPACE = SearchSpace(nodes=4)


def drawn(count: int, seed: int = 0) -> Programs:
    return SPACE.uniform(count, seeded(seed))


def estimator(**options: float) -> AdvantageEstimator:
    defaults = {"baseline_decay": 0.5, "filter_rewards": False, "novelty_penalty": 0.0, "screening_weight": 0.5}
    return AdvantageEstimator(**{**defaults, **options})  # type: ignore[arg-type]


def screened_with(outcome: Outcome, **fields: torch.Tensor) -> Outcome:
    return replace(outcome, screened=replace(outcome.screened, **fields))


def test_the_archive_takes_each_right_gradient_once_and_no_other() -> None:
    programs = drawn(20_000)
    screening = Screening(SPACE, Numerics(), seeded())
    screened = screening.screen(programs)
    archive = Archive(uniform_share=0.0)
    archive.add(programs, screened)
    right = screened.joint_share >= 0.6
    assert 0 < len(archive) == len(screened.signature[right].unique())
    archive.add(programs, screened)
    assert len(archive) == len(screened.signature[right].unique())
    assert all("label" in formula.variables for formula in SPACE.decode(archive.programs))


def test_archive_samples_keep_their_share_of_uniform_programs() -> None:
    drawn_ones, uniform_ones = told(drawn(90, 1), torch.zeros(90)), told(drawn(10, 2), torch.zeros(10))
    uniform_ones = screened_with(uniform_ones, signature=torch.arange(90, 100))
    archive = Archive(uniform_share=0.5)
    archive.add(drawn_ones.programs, drawn_ones.screened)
    archive.add(uniform_ones.programs, uniform_ones.screened, uniform=True)
    # Marked by an operator that no draw has, so that samples show where they come from.
    archive.programs.operators[90:] = 99
    share = (archive.sample(4000, seeded()).operators[:, 0] == 99).double().mean()
    assert share == pytest.approx(0.5, abs=4 * math.sqrt(0.25 / 4000))


def test_a_full_archive_forgets_the_oldest() -> None:
    outcome = told(drawn(30), torch.zeros(30))
    archive = Archive(uniform_share=0.0, capacity=10)
    archive.add(outcome.programs, outcome.screened)
    assert equal(archive.programs, outcome.programs[20:])


def test_the_value_of_a_reward_is_the_share_that_it_beats() -> None:
    advantage, weight = estimator().estimate(told(drawn(4), torch.tensor([0.1, -0.5, 0.3, 0.2])), torch.zeros(4).bool())
    values = torch.tensor([0.25, 0.0, 0.75, 0.5]).double()
    assert torch.allclose(advantage, values - values.mean())
    assert torch.allclose(weight, torch.full((4,), 0.25).double())


def test_what_broke_beats_nothing_that_was_trained_in_any_round() -> None:
    value, surrogate, programs = estimator(), Surrogate(), drawn(4)
    first = told(programs, torch.tensor([-1.0, 2.0, 1.0, -1.0]), broken=torch.tensor([True, False, False, True]))
    later = told(programs, torch.tensor([-9.0, -20.0, -8.0, -7.0]), broken=torch.tensor([False, True, False, False]))
    shapes = torch.eye(4, dtype=torch.float64)
    for outcome in (screened_with(first, gradient=shapes), screened_with(later, gradient=-shapes)):
        advantage, _ = value.estimate(outcome, torch.zeros(4, dtype=torch.bool))
        surrogate.update(outcome)
        assert advantage.isfinite().all()
        assert advantage[outcome.broken].max() < advantage[~outcome.broken].min()
    guessed = surrogate.predict(torch.cat([shapes, -shapes]))
    broken = torch.cat([first.broken, later.broken])
    assert guessed[broken].max() < guessed[~broken].min()


def test_the_baseline_is_a_moving_average() -> None:
    advantages = estimator(baseline_decay=0.75)
    advantages.estimate(told(drawn(2), torch.tensor([0.0, 1.0])), torch.zeros(2).bool())
    assert advantages.baseline == pytest.approx(0.25)
    advantages.estimate(told(drawn(1), torch.tensor([2.0])), torch.zeros(1).bool())
    assert advantages.baseline == pytest.approx(0.75 * 0.25 + 0.25 * 2 / 3)


def test_each_doubling_of_the_draws_costs_the_penalty() -> None:
    outcome = told(drawn(2), torch.tensor([0.1, 0.1]))
    outcome = screened_with(outcome, occurrences=torch.tensor([1, 8]))
    advantage, _ = estimator(novelty_penalty=0.05).estimate(outcome, torch.zeros(2).bool())
    assert (advantage[0] - advantage[1]).item() == pytest.approx(3 * 0.05)


def test_rejected_programs_are_worth_their_joint_share_and_unknown_ones_weigh_nothing() -> None:
    outcome = told(drawn(4), torch.tensor([0.1, math.nan, math.nan, math.nan]))
    result = torch.tensor(
        [
            ScreeningResult.TRAINABLE,
            ScreeningResult.WRONG_DIRECTION,
            ScreeningResult.TRAINABLE,
            ScreeningResult.DUPLICATE,
        ]
    )
    share = torch.tensor([1.0, 0.25, 1.0, 1.0]).double()
    advantage, weight = estimator().estimate(
        screened_with(outcome, result=result, joint_share=share), torch.zeros(4).bool()
    )
    assert weight.tolist() == [1.0, 0.5, 0.0, 0.0]
    assert (advantage[1] - advantage[0]).item() == pytest.approx(-0.75)


def test_a_large_gradient_is_worth_least_and_not_archived() -> None:
    outcome = told(drawn(3), torch.tensor([0.1, math.nan, math.nan]))
    large, wrong = ScreeningResult.LARGE_GRADIENT, ScreeningResult.WRONG_DIRECTION
    result = torch.tensor([ScreeningResult.TRAINABLE, large, wrong])
    share = torch.tensor([1.0, 1.0, 0.25]).double()
    outcome = screened_with(outcome, result=result, joint_share=share)
    advantage, weight = estimator().estimate(outcome, torch.zeros(3).bool())
    assert weight.tolist() == [1.0, 0.25, 0.25]
    assert (advantage[1:] - advantage[0]).tolist() == pytest.approx([-1.0, -0.75])
    archive = Archive(uniform_share=0.0)
    archive.add(outcome.programs, outcome.screened)
    assert equal(archive.programs, outcome.programs[:1])


def test_an_operator_has_its_price_for_every_program_that_did_not_fail() -> None:
    programs = drawn(4)
    reward = torch.tensor([0.5, math.nan, -1.0, 0.25])
    outcome = told(programs, reward, broken=torch.tensor([False, False, True, False]))
    nodes = programs.sizes(len(SPACE.leaves))
    priced = outcome.priced(0.01, len(SPACE.leaves)).reward
    assert priced[[0, 3]].tolist() == pytest.approx((reward - 0.01 * nodes)[[0, 3]].tolist())
    assert priced[1].isnan()
    assert priced[2] == -1.0
    assert torch.equal(outcome.priced(0.0, len(SPACE.leaves)).reward[[0, 2, 3]], reward[[0, 2, 3]].double())


def test_failures_of_mutants_are_not_learned_and_do_not_move_the_baseline() -> None:
    advantages = estimator()
    mutant = torch.tensor([False, False, True, True])
    advantage, _ = advantages.estimate(told(drawn(4), torch.tensor([0.0, 1.0, -1.0, 2.0])), mutant)
    assert advantages.baseline == pytest.approx((0.25 + 0.5) / 2)
    assert advantage[2] == 0
    assert advantage[3] > 0


def test_filtered_rewards_are_minus_one_and_leave_the_baseline_alone() -> None:
    advantages = estimator(filter_rewards=True)
    advantages.estimate(told(drawn(2), torch.tensor([0.0, 1.0])), torch.zeros(2).bool())
    before = advantages.baseline
    advantage, _ = advantages.estimate(told(drawn(1), torch.tensor([-1.0])), torch.zeros(1).bool())
    assert advantages.baseline == before
    assert advantage.item() == pytest.approx(-1 - before)


def test_the_surrogate_guesses_the_reward_of_the_same_shape_at_any_scale() -> None:
    outcome = told(drawn(3), torch.tensor([0.1, 0.3, 0.2]))
    gradient = torch.tensor([[1.0, 0.0, -1.0], [0.2, 1.0, 0.0], [1.0, 1.0, 1.0]]).double()
    surrogate = Surrogate()
    surrogate.update(screened_with(outcome, gradient=gradient))
    assert torch.allclose(surrogate.predict(50 * gradient), torch.tensor([0.0, 1.0, 0.5]).double(), atol=1e-4)


def test_the_value_of_a_noisy_reward_is_the_rank_of_its_lower_bound() -> None:
    outcome = told(drawn(3), torch.tensor([0.1, 0.3, 0.2]), errors=torch.tensor([0.01, 0.15, math.nan]))
    advantage, _ = estimator().estimate(outcome, torch.zeros(3).bool())
    assert advantage.argsort().tolist() == [0, 1, 2]


def test_the_surrogate_trusts_precise_rewards_more() -> None:
    reward, errors = torch.tensor([0.1, 0.3, 0.2, 0.25]), torch.tensor([0.01, 0.04, math.nan, 0.02])
    surrogate = Surrogate()
    # All are as far from a gradient of none of them.
    surrogate.update(screened_with(told(drawn(4), reward, errors=errors), gradient=torch.eye(4).double()))
    guess = surrogate.predict(torch.ones(1, 4).double() / 4)
    squared = np.array([0.01, 0.04, 0.02, 0.02]) ** 2
    low, high = np.quantile(reward.numpy(), [0.25, 0.75])
    between = max(((high - low) / 1.349) ** 2 - 0.02**2, 0.02**2)
    expected = np.average(np.array([0, 3, 1, 2]) / 3, weights=1 / (squared + between))
    assert guess.item() == pytest.approx(expected, rel=1e-6)
    plain = Surrogate()
    plain.update(screened_with(told(drawn(4), reward), gradient=torch.eye(4).double()))
    assert plain.predict(torch.ones(1, 4).double() / 4).item() == pytest.approx(0.5)


def test_a_surrogate_of_equal_rewards_without_noise_still_predicts() -> None:
    surrogate = Surrogate()
    outcome = told(drawn(3), torch.zeros(3), errors=torch.zeros(3))
    surrogate.update(screened_with(outcome, gradient=torch.eye(3).double()))
    assert surrogate.predict(torch.ones(2, 3).double()).isfinite().all()


def test_guidance_prefers_what_the_surrogate_expects_more_of() -> None:
    gradient = torch.eye(4).double().repeat(25, 1)
    outcome = screened_with(told(drawn(100), (torch.arange(100) % 4).double()), gradient=gradient)
    chosen = {}
    for guidance in (0.0, 50.0):
        strategy = PPO(SPACE, seeded(), guidance=guidance)
        strategy.surrogate.update(outcome)
        picked = strategy.choose(outcome.screened, torch.arange(100), 20)
        assert len(picked.unique()) == 20
        chosen[guidance] = (picked % 4 == 3).double().mean().item()
    assert chosen[0.0] < 0.6
    assert chosen[50.0] == 1.0


def test_the_warm_up_samples_uniformly_until_the_archive_has_enough() -> None:
    strategy = PPO(SPACE, seeded(), hidden_size=8, warmup_draws=16, warmup_least_uniform=5, warmup_steps=1)
    screening = Screening(SPACE, Numerics(), seeded())
    uniform = [strategy.archive.num_uniform for _ in strategy.warm_up(screening, 6)]
    assert uniform[0] < 5 <= uniform[-1]
    assert len({number for number in uniform if number >= 5}) == 1


def test_nothing_is_imitated_where_no_program_can_be_right() -> None:
    space = SearchSpace(leaves=["pred", 1.0], nodes=3)
    strategy = PPO(space, seeded(), hidden_size=8, warmup_draws=16, warmup_uniform=64)
    before = {name: value.clone() for name, value in strategy.controller.state_dict().items()}
    figures = list(strategy.warm_up(Screening(space, Numerics(), seeded()), 2))
    assert [each["archive"] for each in figures] == [0.0, 0.0]
    assert all(torch.equal(value, before[name]) for name, value in strategy.controller.state_dict().items())
