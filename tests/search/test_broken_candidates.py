"""No failed candidate is ranked before a trained one, for any metric and sign."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import pytorch_lightning as pl

from benchmarks.common.study_comparison import differences
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


def failing(patch: pytest.MonkeyPatch, *, broken: range) -> list[int]:
    """Let some of the trainings of this process fail, and return a list to which each adds its number."""
    numbers: list[int] = []
    fit = evaluation.TrialEvaluator._fit

    def broken_fit(self: Any, child: pl.LightningModule, *rest: Any) -> None:
        numbers.append(len(numbers))
        if numbers[-1] in broken:
            raise TimeoutError("5 seconds")
        fit(self, child, *rest)

    patch.setattr(evaluation.TrialEvaluator, "_fit", broken_fit)
    return numbers


def test_a_search_that_failures_ended_goes_on_as_one_that_they_did_not_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_figures(monkeypatch)
    options: dict[str, Any] = {"strategy": "random", "fused": False, "references": []}
    for root, most in ((tmp_path / "whole", 9), (tmp_path / "ended", 3)):
        with monkeypatch.context() as patch:
            # The first is the baseline.
            failing(patch, broken=range(1, 4))
            if most == 9:
                search(root, **options, most_failures=most)
                continue
            with pytest.raises(RuntimeError, match="3 candidates in a row failed"):
                search(root, **options, most_failures=most)
    again = failing(monkeypatch, broken=range(0))
    search(tmp_path / "ended", **options, most_failures=3)
    # Those that failed are not trained again.
    assert len(again) == 3
    assert differences(tmp_path / "whole", tmp_path / "ended") == []
