"""Small data, trainings that are prescribed instead of run, and studies written by hand."""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytorch_lightning as pl
import torch
import yaml

from datamodules import SyntheticInteractions
from lightning_modules.compare.compared_losses import HAND_MADE, ComparedLoss
from lightning_modules.compare.criteria import AreaUnderCurve
from lightning_modules.compare.results import LossResult
from lightning_modules.compare.training import Measured, MeasuredTraining
from lightning_modules.losses import BCE, FormulaLoss, Loss
from lightning_modules.recommenders import BiasedMF
from lightning_modules.search.answer import ValidatedFormula, Validation
from lightning_modules.search.events import Candidate
from lightning_modules.search.ledger import Ledger
from lightning_modules.statistics.significance import Difference
from lightning_modules.training.full_training import TrainingRun
from lightning_modules.training.predictions import Scores
from lightning_modules.training.statuses import DIVERGED, FAILED, TRAINED
from lightning_modules.training.tuning import Setting

RECIPE = {"max_epochs": 3, "accelerator": "cpu", "devices": 1}
SLOW, FAST = Setting(0.001, 0.0), Setting(0.02, 1e-4)
NAN = math.nan
UNKNOWN = Difference(NAN, NAN, NAN, NAN, NAN)


def small_data(**options: Any) -> SyntheticInteractions:
    defaults = {"num_users": 40, "num_items": 30, "num_interactions": 800, "rank": 2, "scale": 3.0, "batch_size": 64}
    return SyntheticInteractions(**{**defaults, **options})


def builder_of(data: SyntheticInteractions, embedding_dim: int = 4) -> Callable[[], BiasedMF]:
    return partial(BiasedMF, data.num_users, data.num_items, embedding_dim=embedding_dim, init_std=0.1)


def full_training(data: SyntheticInteractions | None = None, **options: Any) -> MeasuredTraining:
    """Return a training on small data; what is no option of it belongs to the recipe of the Trainer."""
    data = small_data() if data is None else data
    names = ("monitor", "mode", "patience", "fused", "population")
    own = {name: options.pop(name) for name in names if name in options}
    return MeasuredTraining(options.pop("build", builder_of(data)), data, {**RECIPE, **options}, **own)


def trained(score: float, **fields: Any) -> TrainingRun:
    defaults = {"epoch": 3, "epochs": 8, "converged": True, "metrics": {"val/auc": score, "val/log_loss": 1 - score}}
    return TrainingRun(TRAINED, score, **{**defaults, "model": pl.LightningModule(), **fields})


def diverged() -> TrainingRun:
    return TrainingRun(DIVERGED, -math.inf, epochs=1)


def failed(error: str = "ValueError: boom") -> TrainingRun:
    return TrainingRun(FAILED, -math.inf, error=error)


def scores_of(split_seed: int, noise_seed: int, rows: int = 60, skill: float = 1.0) -> Scores:
    """Return labels and users that belong to the split, and logits that know the labels more or less."""
    split, noise = (torch.Generator().manual_seed(seed) for seed in (split_seed, noise_seed))
    label = (torch.rand(rows, generator=split) < 0.5).float()
    user = torch.randint(12, (rows,), generator=split)
    return Scores(skill * (2 * label - 1) + torch.randn(rows, generator=noise), label, user)


def measured(noise_seed: int, *, skill: float = 1.0, auc: float = 0.7) -> Measured:
    metrics = {"test/auc": auc, "test/log_loss": 1 - auc}
    return Measured(metrics, scores_of(1, noise_seed, skill=skill), scores_of(2, noise_seed, skill=skill))


class StubTraining(MeasuredTraining):
    """Trains nothing; counts its calls.

    Args:
        outcome: Returns the training of a loss's title, a seed and a setting.
        breaks_at: The call that the user interrupts, counted from 1.
    """

    def __init__(self, outcome: Callable[[str, int, Setting], TrainingRun], breaks_at: int | None = None) -> None:
        self.outcome = outcome
        self.breaks_at = breaks_at
        self.calls: list[tuple[str, int, Setting]] = []

    def train(self, loss: Loss, seed: int, setting: Setting) -> TrainingRun:
        self.calls.append((loss.title, seed, setting))
        if len(self.calls) == self.breaks_at:
            raise KeyboardInterrupt
        return self.outcome(*self.calls[-1])

    def measure(self, run: TrainingRun) -> Measured:
        return measured(int.from_bytes(hashlib.sha256(str(run.score).encode()).digest()[:4]))


def compared(title: str = "BCE", label: str | None = None, group: str = HAND_MADE) -> ComparedLoss:
    loss = BCE() if title == "BCE" else FormulaLoss(title)
    return ComparedLoss(loss, label or loss.title, group)


def runs_of(scores: Sequence[float], statuses: Sequence[str] | None = None, **columns: Any) -> pd.DataFrame:
    """Return rows of ``results.csv``, one a score."""
    table: dict[str, Any] = {"seed": range(len(scores)), "status": statuses or [TRAINED] * len(scores), "score": scores}
    table |= {"val_auc": scores, "test_auc": scores, "test_log_loss": scores, "val_auc_se": 0.02}
    return pd.DataFrame({**table, "epochs": 8, "converged": True, "error": "", **columns})


def loss_result(who: ComparedLoss, runs: pd.DataFrame | None = None, **fields: Any) -> LossResult:
    runs = runs_of([0.7, 0.72]) if runs is None else runs
    defaults: dict[str, Any] = {"setting": FAST, "proper": True, "criterion": AreaUnderCurve(), "standard_error": 0.01}
    return LossResult(who, runs=runs, **{**defaults, "difference": UNKNOWN, "p_value": NAN, **fields})


def write_study(
    root: Path,
    formulas: Sequence[str | Mapping[str, Any]],
    settings: Mapping[str, Any] | None = None,
    *,
    validated: Sequence[ValidatedFormula] = (),
    **sections: Any,
) -> Path:
    """Write a study of one round, whose formulas earn falling rewards unless they are given some.

    Args:
        root: Its folder.
        formulas: Its candidates.
        settings: Those of the search; None writes no settings.
        validated: What became of its finalists.
        sections: Other sections of its settings.
    """
    ledger = Ledger(root)
    for place, given in enumerate(formulas):
        fields = {"formula": given} if isinstance(given, str) else given
        ledger.on_candidate(candidate(**{"reward": 0.5 - 0.01 * place, **fields}))
    if validated:
        ledger.on_validation(Validation(1, "BCE", 0.7, tuple(validated)))
    ledger.on_end()
    if settings is not None:
        (root / "config.yaml").write_text(yaml.safe_dump({"search": settings, **sections}))
    return root


def candidate(**fields: Any) -> Candidate:
    defaults = {"round": 1, "kind": "candidate", "simplified": "", "status": TRAINED, "metric": 0.7}
    defaults |= {"right_share": 1.0, "signature": 1, "seconds": 0.1}
    return Candidate(**{**defaults, **fields})


def table_rows(markdown: str) -> list[list[str]]:
    """Return the cells of the table in a page, as a reader of markdown splits them."""
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    hidden = [line.replace("\\\\", "\0").replace("\\|", "\1").strip().strip("|") for line in lines]
    return [[cell.strip().replace("\1", "|").replace("\0", "\\") for cell in line.split("|")] for line in hidden]
