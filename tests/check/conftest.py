from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import settings

from lightning_modules.check import CheckResult, check_loss
from lightning_modules.losses import Loss, Numerics
from lightning_modules.search.events import Candidate
from lightning_modules.search.ledger import Ledger

# Every run draws the same examples, and a busy machine fails no test.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")

#: Formulas of the study and their rewards, in the order of training; BCE is a reference.
TRAINED = {"pred * label": -0.3, "(label - pred)**2": 0.1, "BCE": 0.0, "abs(label - pred)": 0.2}


@pytest.fixture(scope="session")
def find() -> Callable[..., CheckResult]:
    """Check a loss at fixed points."""

    def checked(loss: Loss, **options: int) -> CheckResult:
        return check_loss(loss, generator=torch.Generator().manual_seed(3), **options)

    return checked


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Write a study that stopped in the first of two rounds, under a clamp of its own."""
    root = tmp_path / "study"
    ledger = Ledger(root)
    for formula, reward in TRAINED.items():
        kind, simplified = ("reference", "") if formula == "BCE" else ("candidate", formula)
        ledger.on_candidate(Candidate(1, kind, formula, simplified, "trained", reward, 0.5, None, None, 0.1))
    ledger.on_end()
    config = {"search": {"numerics": asdict(Numerics(low=-2.0, high=2.0)), "strategy": "PPO", "rounds": 2}}
    (root / "config.yaml").write_text(yaml.safe_dump(config))
    return root
