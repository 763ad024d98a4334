"""Advantages of programs, which the policy gradient weights their log-probabilities with."""

import math
from typing import Any

import torch
from torch import Tensor

from lightning_modules.search.screening import ScreeningResult
from lightning_modules.search.strategies.base import Outcome
from lightning_modules.search.strategies.remembered_rewards import lower_bound


class AdvantageEstimator:
    """Estimates the advantage of programs: their value less a moving average of values.

    The value of a program with a reward is its rank: the share of all rewards so far that are lower, each less its
    standard error (:func:`~lightning_modules.search.strategies.remembered_rewards.lower_bound`), less
    ``novelty_penalty`` for every doubling of the number of samples of its gradient signature. Rewards themselves are
    nearly equal among good formulas and far apart among bad ones. The value of a program that screening rejects is the
    share of probes at which it is right for both labels, less 1, and -1 if it is too steep or too long. Mutants count
    only if they are better than the moving average: the policy did not sample them, and their failures would lower the
    probability of the elites they came from.

    Args:
        baseline_decay: Decay of the exponential moving average of the values.
        filter_rewards: Give a trained program below the average the value -1 and leave it out of the average, as
            AutoLossGen does.
        novelty_penalty: Subtracted from a value for every doubling of the samples of its signature.
        screening_weight: Weight of all rejected programs together, relative to all with a reward.
    """

    def __init__(
        self, *, baseline_decay: float, filter_rewards: bool, novelty_penalty: float, screening_weight: float
    ) -> None:
        self.baseline_decay = baseline_decay
        self.filter_rewards = filter_rewards
        self.novelty_penalty = novelty_penalty
        self.screening_weight = screening_weight
        self.baseline: float | None = None
        self._rewards = torch.empty(0, dtype=torch.float64)

    def estimate(self, outcome: Outcome, mutant: Tensor) -> tuple[Tensor, Tensor]:
        """Return every program's advantage and weight ``[count]``; the weight is 0 without a value.

        Args:
            outcome: The programs, as the strategy was told of them.
            mutant: Marks the mutants among them, bool ``[count]``.
        """
        bound = lower_bound(outcome.order, outcome.error)
        self._rewards = torch.cat([self._rewards, bound[outcome.trained]]).sort().values
        rewarded = outcome.reward.isfinite()
        result = outcome.screened.result
        unfit = outcome.screened.unfit
        wrong = (result == ScreeningResult.ZERO_GRADIENT) | (result == ScreeningResult.WRONG_DIRECTION)
        rejected = (wrong | unfit) & ~rewarded & ~mutant
        share = outcome.screened.joint_share.masked_fill(unfit, 0.0)
        value = torch.where(rewarded, self._reward_value(bound, outcome.screened.occurrences), share - 1)
        baseline = self._move_baseline(value[rewarded & ~mutant])
        if self.filter_rewards:
            value = torch.where(rewarded & (value < baseline - 1e-5), -1.0, value)
        advantage = torch.where(mutant, (value - baseline).clamp_min(0), value - baseline)
        return advantage, _shares(rewarded) + self.screening_weight * _shares(rejected)

    def _reward_value(self, bound: Tensor, occurrences: Tensor) -> Tensor:
        beaten = torch.searchsorted(self._rewards, bound.masked_fill(bound.isnan(), -math.inf))
        penalty = self.novelty_penalty * occurrences.double().log2()
        return beaten.double() / max(1, len(self._rewards)) - penalty

    def _move_baseline(self, values: Tensor) -> float:
        """Return the moving average before these values, then update it with them."""
        baseline = self.baseline
        moving = values[values >= baseline - 1e-5] if self.filter_rewards and baseline is not None else values
        if len(moving):
            mean = moving.mean().item()
            baseline = mean if baseline is None else baseline
            self.baseline = self.baseline_decay * baseline + (1 - self.baseline_decay) * mean
        return baseline or 0.0

    def state_dict(self) -> dict[str, Any]:
        """Return the moving average and the rewards so far."""
        return {"baseline": self.baseline, "rewards": self._rewards}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state that :meth:`state_dict` returned."""
        self.baseline, self._rewards = state["baseline"], state["rewards"]


def _shares(mask: Tensor) -> Tensor:
    return mask.double() / mask.sum().clamp_min(1)
