"""No failed candidate is ranked before a trained one, for any metric and sign."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import pytorch_lightning as pl

from callbacks import RewardCallback
from lightning_modules.search import evaluation
from lightning_modules.search.ledger import read_ledger
from tests.search.small_studies import search, without_figures

pytestmark = pytest.mark.timeout(120)
MODES: list[dict[str, Any]] = [
    {"relative": False, "mode": "min", "monitor": "val/log_loss"},
    {"relative": True, "mode": "min", "monitor": "val/log_loss"},
    {"relative": False, "mode": "max"},
]


@pytest.fixture
def breaking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the first candidates fail, and the others end with a large log-loss."""
    without_figures(monkeypatch)
    numbers = iter(range(100))
    fit = evaluation.TrialEvaluator._fit

    def broken(self: Any, child: pl.LightningModule, *rest: Any) -> None:
        fit(self, child, *rest)
        number = next(numbers)
        if number in (3, 4):
            raise ArithmeticError("broken")
        (reward,) = (each for each in rest[0].callbacks if isinstance(each, RewardCallback))
        if self.mode == "min":
            reward.reward = -4.0 - number

    monkeypatch.setattr(evaluation.TrialEvaluator, "_fit", broken)


@pytest.mark.parametrize("options", MODES, ids=str)
@pytest.mark.parametrize(
    "strategy", ["random", *(pytest.param(each, marks=pytest.mark.slow) for each in ("ppo", "evolution"))]
)
def test_what_broke_comes_last(breaking: None, options: dict[str, Any], strategy: str, tmp_path: Path) -> None:
    search(tmp_path / "study", strategy=strategy, fused=False, **options)
    losses = read_ledger(tmp_path / "study")
    trained = losses["status"] == "trained"
    assert (~trained).sum() == 2
    assert losses["reward"][~trained].max() < losses["reward"][trained].min()
    assert pd.read_csv(tmp_path / "study" / "formulas.csv")["status"].tolist()[-2:] == ["failed", "failed"]
