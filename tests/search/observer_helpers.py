"""Candidates and round summaries to tell observers of."""

from typing import Any

import torch

from lightning_modules.losses import Formula
from lightning_modules.search.events import Candidate, RoundSummary
from lightning_modules.search.screening import Screened, ScreeningResult
from lightning_modules.search.space import SearchSpace


def candidate(**fields: Any) -> Candidate:
    defaults: dict[str, Any] = {
        "round": 1,
        "kind": "candidate",
        "formula": "(pred - label)**2",
        "simplified": "(label - pred)**2",
        "status": "trained",
        "reward": 0.01,
        "metric": 0.75,
        "right_share": 1.0,
        "signature": 3,
        "seconds": 0.5,
    }
    return Candidate(**{**defaults, **fields})


def reference(name: str, reward: float) -> Candidate:
    return candidate(
        round=0, kind="reference", formula=name, simplified="", reward=reward, right_share=None, signature=None
    )


def round_summary(number: int, space: SearchSpace, **fields: Any) -> RoundSummary:
    """Return a round of twelve programs with two of each result."""
    programs = space.uniform(12, torch.Generator().manual_seed(number))
    share = torch.zeros(12, dtype=torch.float64)
    result = torch.arange(12) % len(ScreeningResult)
    ones = torch.ones(12, dtype=torch.int64)
    screened = Screened(result, share, share, torch.arange(12), ones, torch.zeros(12, 4, dtype=torch.float64))
    defaults: dict[str, Any] = {
        "rewards": (0.02, -0.04),
        "top": ((Formula.parse("(pred - label)**2"), 0.02), (Formula.parse("pred - label"), -0.04)),
        "figures": {"entropy": 1.5},
        "accepted": None,
    }
    return RoundSummary(round=number, programs=programs, screened=screened, **{**defaults, **fields})
