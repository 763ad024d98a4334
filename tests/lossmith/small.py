"""The verbs for Python with settings that make them small, and without what they print."""

import contextlib
import io
from collections.abc import Callable
from typing import Any

import pytest

import lossmith
from lightning_modules.search.reward_tuning import RewardTuning
from lightning_modules.search.study import Study

TRAINER = {"max_epochs": 1, "accelerator": "cpu", "devices": 1}
TUNING = RewardTuning(
    learning_rates=[1e-2],
    weight_decays=[0.0],
    refinements=0,
    learning_rate_factors=[1.0],
    weight_decay_factors=[1.0],
    patience=1,
)
SEARCH: dict[str, Any] = {
    "candidates": 2,
    "warmup_updates": 1,
    "references": [],
    "draws": 256,
    "strategy": "RandomSearch",
    "tuning": TUNING,
    "finalists": 1,
    "finalist_seeds": 2,
    "finalist_epochs": 1,
}
COMPARE: dict[str, Any] = {
    "learning_rates": [1e-2],
    "weight_decays": [0.0],
    "extensions": 0,
    "refinements": 0,
    "resamples": 20,
}

_SEARCH, _COMPARE, _CHECK = lossmith.search, lossmith.compare, lossmith.check


def search(*arguments: Any, rounds: int = 1, **options: Any) -> Study:
    """Search for four rounds less, with small settings where none are given."""
    options = {**SEARCH, "trainer": TRAINER, **options, "rounds": max(1, rounds - 4)}
    return _SEARCH(*arguments, **options)


def compare(*arguments: Any, seeds: int = 2, **options: Any) -> Any:
    """Compare with small settings where none are given."""
    return _COMPARE(*arguments, **{**COMPARE, "trainer": TRAINER, **options, "seeds": min(seeds, 2)})


def quiet(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that prints nothing."""

    def call(*arguments: Any, **options: Any) -> Any:
        with contextlib.redirect_stdout(io.StringIO()):
            return function(*arguments, **options)

    return call


def made_small(patch: pytest.MonkeyPatch, *, quietly: bool = False) -> None:
    """Let ``lossmith`` offer the small verbs."""
    for name, function in (("search", search), ("compare", compare), ("check", _CHECK)):
        patch.setattr(f"lossmith.verbs.{name}", quiet(function) if quietly else function)
