"""Does a trial's reward predict how good its loss is after full training?

Trains a panel of right-direction formulas, drawn uniformly, and all hand-made losses: fully (early stopping, best of
several weight decays by validation AUC), and under each trial budget. Prints and writes the Spearman correlation of
each budget's reward with the fully trained test AUC.

    python -m benchmarks.reward_signal data/ml100k01-1-5
"""

import time
from typing import Literal

import pandas as pd
import torch
from jsonargparse import auto_cli
from scipy.stats import spearmanr

from benchmarks.common.commands import settle
from benchmarks.common.report import table, write_report
from benchmarks.common.training import FULL_WEIGHT_DECAYS, TrialBudget, full_training
from datamodules import InteractionsDataModule
from lightning_modules.losses import FormulaLoss, Loss, Numerics
from lightning_modules.search.evaluation import TrialEvaluator
from lightning_modules.search.screening import Screening, ScreeningResult
from lightning_modules.search.settings import SearchSettings
from lightning_modules.search.space import SearchSpace
from lightning_modules.search.trial import Assignment
from lightning_modules.training.trainers import TrainerFactory

BUDGETS = {
    "published: SGD 0.01, N(0, 1), batch 128, 1 epoch, validation split": TrialBudget(
        "SGD", 0.01, 1, init_std=1.0, batch_size=128, holdout=0.0
    ),
    "Adam 5e-3, N(0, 0.01), batch 1024, 1 epoch": TrialBudget("Adam", 5e-3, 1),
    "the same, 2 epochs": TrialBudget("Adam", 5e-3, 2),
    "the same, 3 epochs": TrialBudget("Adam", 5e-3, 3),
    "the same, 5 epochs": TrialBudget("Adam", 5e-3, 5),
    "Adam 1e-2, 2 epochs": TrialBudget("Adam", 1e-2, 2),
    "Adam 2e-3, 4 epochs": TrialBudget("Adam", 2e-3, 4),
}

SHIPPED = {"BiasedMF": "two epochs", "DeepMF": "one epoch"}


def panel(formulas: int, seed: int) -> dict[str, Loss]:
    """Draw distinct right-direction formulas uniformly and add the hand-made losses."""
    space, generator = SearchSpace(), torch.Generator().manual_seed(seed)
    screening = Screening(space, Numerics(), torch.Generator().manual_seed(seed))
    losses: dict[str, Loss] = dict(SearchSettings().named_references)
    while len(losses) < formulas + len(SearchSettings().named_references):
        programs = space.uniform(2048, generator)
        screened = screening.screen(programs)
        trainable = screened.result == ScreeningResult.TRAINABLE
        screening.take(screened.signature[trainable])
        for formula in space.decode(programs[trainable]):
            losses.setdefault(str(formula), FormulaLoss(formula))
    return dict(list(losses.items())[: formulas + len(SearchSettings().named_references)])


def reward(
    data: InteractionsDataModule, budget: TrialBudget, name: str, loss: Loss, seed: int, model: str
) -> tuple[float, float]:
    """Return the metric of one trial and its seconds."""
    data = data.hold_out(budget.holdout, seed) if budget.holdout else data
    data.batch_size = budget.batch_size
    evaluator = TrialEvaluator(TrainerFactory(budget.recipe), data)
    (evaluation,) = evaluator.evaluate(budget.model(data, seed, model), Assignment((loss,), (name,), seed))
    return (-1.0 if evaluation.score is None else evaluation.score), evaluation.seconds


def measure(root: str, formulas: int, seed: int, model: str) -> pd.DataFrame:
    """Train the whole panel; one row a loss."""
    data, rows = InteractionsDataModule(root), []
    losses = panel(formulas, seed)
    for number, (name, loss) in enumerate(losses.items(), 1):
        start = time.perf_counter()
        validation, test = full_training(data, loss, seed, model)
        row: dict[str, object] = {"loss": name, "val_auc": validation, "test_auc": test}
        row["full_seconds"] = time.perf_counter() - start
        for title, budget in BUDGETS.items():
            row[title], row[f"{title} seconds"] = reward(data, budget, name, loss, seed, model)
        rows.append(row)
        print(f"{number}/{len(losses)} {name[:60]}: test AUC {test:.4f}", flush=True)
    return pd.DataFrame(rows)


def correlations(measured: pd.DataFrame) -> pd.DataFrame:
    """Return Spearman correlations with the fully trained test AUC, over all losses and over the best 40 %."""
    best = measured.nlargest(round(0.4 * len(measured)), "test_auc")
    columns = {"full training, validation AUC": "val_auc", **{title: title for title in BUDGETS}}
    return pd.DataFrame(
        {
            "budget": title,
            "over all": spearmanr(measured[column], measured["test_auc"]).statistic,
            "over the best 40 %": spearmanr(best[column], best["test_auc"]).statistic,
            "seconds a trial": measured[f"{column} seconds" if column in BUDGETS else "full_seconds"].median(),
        }
        for title, column in columns.items()
    )


def main(data_root: str, formulas: int = 40, seed: int = 1, model: Literal["BiasedMF", "DeepMF"] = "BiasedMF") -> None:
    """Measure and write the tables.

    Args:
        data_root: Folder in the published layout.
        formulas: Number of formulas in the panel.
        seed: Seed of the panel, the initial weights and the order of the rows.
        model: The recommender.
    """
    settle()
    report(measure(data_root, formulas, seed, model), seed, model)


def report(measured: pd.DataFrame, seed: int, model: str) -> None:
    """Write the correlations and the panel."""
    rows = [[f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in row] for row in _rows(measured)]
    panel_rows = [
        [f"`{row.loss}`", *(f"{getattr(row, name):.4f}" for name in ("test_auc", "val_auc", "one", "two"))]
        for row in measured.rename(columns=dict(zip(list(BUDGETS)[1:3], ("one", "two"), strict=True)))
        .sort_values("test_auc", ascending=False)
        .itertuples()
    ]
    write_report(
        f"reward_signal_{model.lower()}",
        title="Does a trial's reward predict full training?",
        parts=[
            f"{model}, {len(measured)} losses: right-direction formulas drawn uniformly (seed {seed}) and all "
            "hand-made losses. Full training: Adam 2e-3, batch 1024, early stopping on validation AUC, best of the "
            f"weight decays {', '.join(map(str, FULL_WEIGHT_DECAYS))}. Spearman correlation of each budget's reward "
            "with the fully trained test AUC; rewards are measured on 10 % of the training rows, held out.",
            table(["budget", "over all", "over the best 40 %", "seconds a trial"], rows),
            f"The shipped configuration takes Adam 5e-3 and {SHIPPED[model]}.",
            table(["loss", "test AUC", "validation AUC", "reward, 1 epoch", "reward, 2 epochs"], panel_rows),
        ],
    )


def _rows(measured: pd.DataFrame) -> list[list[object]]:
    return [list(row) for row in correlations(measured).to_numpy()]


if __name__ == "__main__":
    auto_cli(main)
