"""Which candidates are trained again, held against sorting all of them."""

import math

import pytest
import torch

from lightning_modules.losses import MSE
from lightning_modules.search.contenders import Contenders
from lightning_modules.search.trial import Evaluation, Trial, TrialKey


def trial(reward: float, position: int = 1, score: float | None = 0.5, error: float | None = None) -> Trial:
    evaluation = Evaluation("trained" if score is not None else "failed", score, 1.0, standard_error=error)
    return Trial(TrialKey(1, "candidate", position, 0, "MSE"), MSE(), 0, evaluation, reward)


@pytest.mark.parametrize("share", [0.1, 0.34, 0.9])
def test_none_of_the_best_is_told_of_too_early(share: float) -> None:
    generator = torch.Generator().manual_seed(1)
    for before in (0, 3, 40):
        earlier = torch.randint(20, (before,), generator=generator).double().tolist()
        rewards = torch.randint(20, (12,), generator=generator).double().tolist()
        contenders = Contenders(share, earlier, len(rewards))
        held = [reward for reward in rewards if contenders.add(trial(reward))]
        best = sorted([*earlier, *rewards], reverse=True)[: math.ceil(share * (before + 12))]
        assert [each for each in held if contenders.has(trial(each))] == [each for each in rewards if each >= best[-1]]
        assert len(held) < len(rewards) or before < 5 or share > 0.5


def test_failures_are_not_among_the_best_and_do_not_count() -> None:
    contenders = Contenders(0.5, [0.3, 0.4], 3)
    assert not contenders.add(trial(9.0, score=None))
    assert contenders.add(trial(0.25))
    assert not contenders.has(trial(0.25))
    assert contenders.has(trial(0.3))


def test_a_share_of_nothing_holds_nobody() -> None:
    assert not Contenders(0.0, [], 3).add(trial(1.0))


def test_two_trainings_count_half_each() -> None:
    both = trial(0.1, error=0.02).averaged(trial(0.3, score=0.7, error=0.04))
    assert (both.reward, both.evaluation.score) == (pytest.approx(0.2), pytest.approx(0.6))
    assert (both.evaluation.standard_error, both.evaluation.seconds) == (pytest.approx(0.03), 2.0)
    assert both.key == trial(0.1).key
    assert trial(0.1).averaged(trial(-1.0, score=None)).failed
    assert trial(0.1).averaged(trial(0.3)).evaluation.standard_error is None
