"""The parts that a policy learns from: archive, advantages and surrogate."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import norm, rankdata

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
    assert guessed.mean[broken].max() < guessed.mean[~broken].min()


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


def test_the_surrogate_expects_the_same_of_one_direction_at_any_scale() -> None:
    outcome = told(drawn(3), torch.tensor([0.1, 0.3, 0.2]))
    gradient = torch.tensor([[1.0, 0.0, -1.0], [0.2, 1.0, 0.0], [1.0, 1.0, 1.0]]).double()
    surrogate = Surrogate()
    surrogate.update(screened_with(outcome, gradient=gradient))
    expected = surrogate.predict(gradient)
    assert expected.mean.argsort().tolist() == [0, 2, 1]
    assert torch.allclose(surrogate.predict(1e9 * gradient).mean, expected.mean)
    assert torch.allclose(surrogate.predict(1e-9 * gradient).variance, expected.variance)


def test_the_surrogate_is_a_gaussian_process() -> None:
    generator = np.random.default_rng(0)
    gradient, new = generator.normal(size=(6, 4)), generator.normal(size=(3, 4))
    reward = np.array([0.3, 0.1, 0.2, 0.2, -5.0, 0.25])
    errors = np.array([0.01, 0.04, np.nan, 0.02, 0.02, 0.01])
    surrogate = Surrogate()
    outcome = told(drawn(6), torch.tensor(reward), errors=torch.tensor(errors))
    surrogate.update(screened_with(outcome, gradient=torch.tensor(gradient)))
    squared = np.where(np.isnan(errors), np.nanmedian(errors), errors) ** 2
    # Of five standard errors the median is one of them; the reward without one has it.
    low, high = np.quantile(reward, [0.25, 0.75])
    between = max(((high - low) / 1.349) ** 2 - 0.02**2, 0.02**2)
    weight = (0.02**2 + between) / (squared + between)
    directions, others = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (gradient, new))

    def kernel(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return np.exp(-np.linalg.norm(first[:, None] - second, axis=2))

    scores = norm.ppf((rankdata(reward) - 0.5) / 6)
    inverse = np.linalg.inv(kernel(directions, directions) + np.diag(0.1 / weight))
    cross = kernel(others, directions)
    mean, variance, _ = surrogate.predict(torch.tensor(new))
    np.testing.assert_allclose(mean, cross @ inverse @ scores, rtol=1e-6)
    np.testing.assert_allclose(variance, 1 - np.einsum("ij,jk,ik->i", cross, inverse, cross), rtol=1e-6)


def test_the_value_of_a_noisy_reward_is_the_rank_of_its_lower_bound() -> None:
    outcome = told(drawn(3), torch.tensor([0.1, 0.3, 0.2]), errors=torch.tensor([0.01, 0.15, math.nan]))
    advantage, _ = estimator().estimate(outcome, torch.zeros(3).bool())
    assert advantage.argsort().tolist() == [0, 1, 2]


def test_the_surrogate_trusts_precise_rewards_more() -> None:
    means = []
    for errors in ([0.01, 0.05], [0.05, 0.01], [math.nan, math.nan]):
        surrogate = Surrogate()
        # A gradient between those of a low and a high reward.
        outcome = told(drawn(2), torch.tensor([0.10, 0.11]), errors=torch.tensor(errors))
        surrogate.update(screened_with(outcome, gradient=torch.eye(2).double()))
        means.append(surrogate.predict(torch.ones(1, 2).double()).mean.item())
    assert means[0] < -0.05
    assert means[1:] == pytest.approx([-means[0], 0.0], abs=1e-9)


def test_later_choices_allow_for_earlier_ones() -> None:
    """Of two pairs of programs with the same gradient, nothing known of either, one of each pair is chosen first."""
    surrogate = Surrogate()
    gradient = torch.eye(3).double()[[0, 1, 1, 2, 2]]
    outcome = screened_with(told(drawn(5), torch.tensor([0.5] + 4 * [math.nan])), gradient=gradient)
    surrogate.update(outcome)
    chosen = surrogate.best(outcome.screened, torch.arange(1, 5), 3, exploration=1.0)
    assert gradient[chosen[0]] @ gradient[chosen[1]] == 0.0
    assert len(chosen.unique()) == 3
    assert len(surrogate.best(outcome.screened, torch.arange(1, 5), 9, exploration=1.0)) == 4
    assert len(surrogate.best(outcome.screened, torch.arange(0), 9, exploration=1.0)) == 0


def test_choices_are_those_of_a_process_that_is_told_what_was_expected() -> None:
    gradient = torch.randn(12, 5, generator=seeded()).double()
    reward = torch.cat([torch.randn(4, generator=seeded()), torch.full((8,), math.nan)])
    outcome = screened_with(told(drawn(12), reward), gradient=gradient)
    surrogate = Surrogate()
    surrogate.update(outcome)
    chosen = surrogate.best(outcome.screened, torch.arange(4, 12), 5, exploration=2.0).tolist()
    directions = torch.nn.functional.normalize(gradient)
    covariance = (-torch.cdist(directions, directions)).exp()
    mean = surrogate.predict(gradient).mean
    for place in range(5):
        known, left = [0, 1, 2, 3, *chosen[:place]], [each for each in range(4, 12) if each not in chosen[:place]]
        inverse = (covariance[known][:, known] + 0.1 * torch.eye(len(known))).inverse()
        cross = covariance[left][:, known]
        variance = 1 - ((cross @ inverse) * cross).sum(1)
        assert left[int((mean[left] + 2 * variance.sqrt()).argmax())] == chosen[place]


def test_a_surrogate_of_equal_rewards_without_noise_still_predicts() -> None:
    surrogate = Surrogate()
    outcome = told(drawn(3), torch.zeros(3), errors=torch.zeros(3))
    surrogate.update(screened_with(outcome, gradient=torch.eye(3).double()))
    assert surrogate.predict(torch.ones(2, 3).double()).mean.isfinite().all()


def test_what_the_surrogate_expects_most_of_is_trained() -> None:
    gradient = torch.eye(4).double().repeat(25, 1)
    outcome = screened_with(told(drawn(100), (torch.arange(100) % 4).double()), gradient=gradient)
    chosen = {}
    for exploration in (None, 0.0):
        strategy = PPO(SPACE, seeded(), exploration=exploration)
        strategy.surrogate.update(outcome)
        picked = strategy.choose(outcome.screened, torch.arange(100), 20)
        assert len(picked.unique()) == 20
        chosen[exploration] = (picked % 4 == 3).double().mean().item()
    assert chosen[None] < 0.6
    assert chosen[0.0] == 1.0


def test_an_update_looks_at_all_trained_programs_and_as_many_others_as_there_is_room_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[tuple[Outcome, torch.Tensor]] = []
    estimate = AdvantageEstimator.estimate

    def watched(self: AdvantageEstimator, outcome: Outcome, mutant: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        seen.append((outcome, mutant))
        return estimate(self, outcome, mutant)

    monkeypatch.setattr(AdvantageEstimator, "estimate", watched)
    for limit, expected in ((20, 20), (4, 9), (90, 90), (200, 90)):
        strategy = PPO(SPACE, seeded(), hidden_size=8, update_draws=limit)
        strategy._asked_mutants = [torch.arange(90) % 2 == 1]
        reward = torch.arange(90.0).where(torch.arange(90) % 10 == 0, math.nan)
        strategy.tell(told(drawn(90), reward))
        outcome, mutant = seen[-1]
        positions = outcome.screened.signature
        assert len(positions) == expected
        assert torch.equal(positions, positions.unique())
        assert equal(outcome.programs, drawn(90)[positions])
        assert torch.equal(outcome.reward[outcome.trained], torch.arange(0.0, 90, 10).double())
        assert torch.equal(mutant, positions % 2 == 1)


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
