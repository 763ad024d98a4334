"""What a program is worth to the policy."""

import math
from typing import Any

import torch
from torch import Tensor

from lightning_modules.search.screening import ScreeningResult
from lightning_modules.search.strategies.base import Outcome


class AdvantageEstimator:
    """Turns outcomes into advantages over a moving baseline.

    A program with a reward is worth the share of all rewards so far that its own beats, less ``novelty_penalty`` for
    every doubling of the draws of its gradient signature; rewards themselves are all but equal among good formulas and
    far apart among bad ones. A program that screening rejects is worth the share of probes at which it is right for
    both labels, less 1. Mutants count only if they are better than the baseline: the policy did not write them, and
    their failures would be held against the elites they were made from.

    Args:
        baseline_decay: Of the exponential moving average of the values, which is subtracted from them.
        filter_rewards: Give a trained program below the baseline the value -1 and leave it out of the baseline, as
            AutoLossGen does.
        novelty_penalty: Taken off a value for every doubling of the draws of its signature.
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

    def __call__(self, outcome: Outcome, mutant: Tensor) -> tuple[Tensor, Tensor]:
        """Return every program's advantage and weight ``[count]``; programs without a value weigh nothing."""
        self._rewards = torch.cat([self._rewards, outcome.order[outcome.trained]]).sort().values
        rewarded = outcome.reward.isfinite()
        verdict = outcome.screened.verdict
        rejected = (
            ((verdict == ScreeningResult.ZERO_GRADIENT) | (verdict == ScreeningResult.WRONG_DIRECTION))
            & ~rewarded
            & ~mutant
        )
        value = torch.where(rewarded, self._reward_value(outcome), outcome.screened.joint_share - 1)
        baseline = self._move_baseline(value[rewarded & ~mutant])
        if self.filter_rewards:
            value = torch.where(rewarded & (value < baseline - 1e-5), -1.0, value)
        advantage = torch.where(mutant, (value - baseline).clamp_min(0), value - baseline)
        return advantage, _shares(rewarded) + self.screening_weight * _shares(rejected)

    def _reward_value(self, outcome: Outcome) -> Tensor:
        order = outcome.order
        beaten = torch.searchsorted(self._rewards, order.masked_fill(order.isnan(), -math.inf))
        penalty = self.novelty_penalty * outcome.screened.occurrences.double().log2()
        return beaten.double() / max(1, len(self._rewards)) - penalty

    def _move_baseline(self, values: Tensor) -> float:
        """Return the baseline before these values, and let them move it."""
        baseline = self.baseline
        moving = values[values >= baseline - 1e-5] if self.filter_rewards and baseline is not None else values
        if len(moving):
            mean = moving.mean().item()
            baseline = mean if baseline is None else baseline
            self.baseline = self.baseline_decay * baseline + (1 - self.baseline_decay) * mean
        return baseline or 0.0

    def state_dict(self) -> dict[str, Any]:
        """Return the baseline and the rewards so far."""
        return {"baseline": self.baseline, "rewards": self._rewards}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state that :meth:`state_dict` returned."""
        self.baseline, self._rewards = state["baseline"], state["rewards"]


def _shares(mask: Tensor) -> Tensor:
    return mask.double() / mask.sum().clamp_min(1)
