"""Trainings to convergence, cached in a CSV file."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from benchmarks.common.training import full_training
from datamodules import InteractionsDataModule
from lightning_modules.losses import BCE, FormulaLoss

#: Name of the hand-made loss among formulas.
BASELINE = "BCE"


class Full(NamedTuple):
    """A loss trained to convergence.

    Attributes:
        validation: Validation AUC of every training seed.
        test: Test AUC of every training seed.
    """

    validation: pd.Series
    test: pd.Series

    @property
    def standard_error(self) -> float:
        """Of the mean validation AUC over training seeds; 0 of one seed alone."""
        return float(self.validation.sem()) if len(self.validation) > 1 else 0.0


class FullTrainings:
    """Trains losses to convergence with several seeds.

    Args:
        path: CSV file with a line for every loss and seed.
        data: Data of all trainings.
    """

    def __init__(self, path: Path, data: InteractionsDataModule) -> None:
        self.path = path
        self.data = data

    def train(self, loss: str, seeds: Sequence[int]) -> Full:
        """Return the AUCs of a formula, or of the baseline, for the best weight decay by validation of each seed."""
        known = self._known()
        for seed in seeds:
            if known.query("loss == @loss and seed == @seed").empty:
                self._train(loss, seed)
        mine = self._known().query("loss == @loss and seed in @seeds").drop_duplicates("seed")
        return Full(mine["val_auc"], mine["test_auc"])

    def _known(self) -> pd.DataFrame:
        if self.path.exists():
            return pd.read_csv(self.path)
        return pd.DataFrame(columns=["loss", "seed", "val_auc", "test_auc", "seconds"])

    def _train(self, loss: str, seed: int) -> None:
        begin = time.perf_counter()
        aucs = full_training(self.data, BCE() if loss == BASELINE else FormulaLoss(loss), seed)
        row = pd.DataFrame([[loss, seed, *aucs, time.perf_counter() - begin]], columns=self._known().columns)
        # A line at a time, since several processes may share the file.
        row.to_csv(self.path, mode="a", header=not self.path.exists(), index=False)
        print(f"full training, seed {seed}: validation AUC {aucs[0]:.4f} of {loss[:70]}", flush=True)
