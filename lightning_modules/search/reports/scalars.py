"""The figures of a round, by the names that their curves have."""

from collections.abc import Mapping

import torch

from lightning_modules.search.events import RoundSummary
from lightning_modules.search.screening import ScreeningResult
from lightning_modules.search.space import SearchSpace


def scalars_of(summary: RoundSummary, references: Mapping[str, float], space: SearchSpace) -> dict[str, float]:
    """Return the figures of a round.

    Args:
        summary: The round.
        references: The rewards of the hand-made losses, by name.
        space: The search space.
    """
    accepted = {} if summary.accepted is None else {"accepted": float(summary.accepted)}
    groups = {
        "policy": summary.figures,
        "reward": {**_rewards(summary), **accepted},
        "reference": references,
        "drawn": _screening_shares(summary),
        "operators": _operators(summary, space),
    }
    return {f"{group}/{name}": value for group, values in groups.items() for name, value in values.items()}


def _rewards(summary: RoundSummary) -> dict[str, float]:
    best = {"best_so_far": summary.top[0][1]} if summary.top else {}
    if not summary.rewards:
        return best
    rewards = summary.rewards
    above_baseline = sum(reward > 0 for reward in rewards) / len(rewards)
    return best | {"best": max(rewards), "mean": sum(rewards) / len(rewards), "above_baseline": above_baseline}


def _screening_shares(summary: RoundSummary) -> dict[str, float]:
    shares = torch.bincount(summary.screened.result, minlength=len(ScreeningResult)) / len(summary.programs)
    return {result.name.lower(): float(shares[result]) for result in ScreeningResult}


def _operators(summary: RoundSummary, space: SearchSpace) -> dict[str, float]:
    used = summary.programs.used(len(space.leaves))
    counts = torch.bincount(summary.programs.operators[used], minlength=len(space.operators))
    shares = (counts / counts.sum()).tolist()
    return {operator.name: share for operator, share in zip(space.operators, shares, strict=True)}
