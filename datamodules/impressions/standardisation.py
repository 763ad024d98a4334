"""Numerical features brought to mean 0 and standard deviation 1."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor

#: A standard deviation of fewer steps of float32 is told.
_FEWEST_STEPS = 100


@dataclass(frozen=True, slots=True)
class Standardizer:
    """Means and standard deviations of features; a missing value becomes 0, the mean.

    Attributes:
        names: Names of the features.
        means: Their means.
        deviations: Their standard deviations, 1 for a constant feature, infinite for one without any value.
    """

    names: tuple[str, ...]
    means: tuple[float, ...]
    deviations: tuple[float, ...]

    @classmethod
    def fit(cls, table: pd.DataFrame, names: Sequence[str], rows: np.ndarray) -> "Standardizer":
        """Measure some rows, which ought to be the training rows, of the float columns ``names``."""
        moments = [_moments(table[name].to_numpy()[rows], name) for name in names]
        return cls(tuple(names), tuple(mean for mean, _ in moments), tuple(deviation for _, deviation in moments))

    def encode(self, table: pd.DataFrame, rows: np.ndarray) -> Tensor:
        """Return the standardised features of some rows, float32 [n, features]."""
        result = np.empty((len(rows), len(self.names)), dtype=np.float32)
        for place, (name, mean, deviation) in enumerate(zip(self.names, self.means, self.deviations, strict=True)):
            values = table[name].to_numpy()[rows]
            # Subtracted in double precision: a time stamp keeps few digits behind its mean in single precision.
            result[:, place] = np.nan_to_num((values - np.float64(mean)) / deviation, nan=0.0)
        return torch.from_numpy(result)


def _moments(values: np.ndarray, name: str) -> tuple[float, float]:
    filled = values[~np.isnan(values)]
    if not len(filled):
        rank_zero_warn(
            f"column '{name}' has no filled cell among the training rows: the feature is 0 in all rows. Leave the "
            "column out, or look why it is empty"
        )
        # Nothing is known of it, so that held-out rows must not bring values that no model has seen.
        return 0.0, math.inf
    # A constant feature's rounding error must not be blown up to a deviation.
    constant = filled.min() == filled.max()
    mean, deviation = float(filled.mean(dtype=np.float64)), 1.0 if constant else float(filled.std(dtype=np.float64))
    if not constant:
        _warn_of_coarse_steps(filled, name, mean, deviation)
    return mean, deviation


def _warn_of_coarse_steps(values: np.ndarray, name: str, mean: float, deviation: float) -> None:
    """Warn of values [n], far from 0 and close to each other, of which float32 keeps few digits."""
    step = float(np.spacing(np.abs(values).max()))
    if deviation >= _FEWEST_STEPS * step:
        return
    # Whole numbers, say, that float32 has exactly stand on wider steps.
    if (values.astype(np.float64) / step % 2 == 1).any():
        rank_zero_warn(
            f"column '{name}' has a standard deviation of {deviation:,.3g} around {mean:,.3g}, where float32 has steps "
            f"of {step:,.3g}: cells that differ by less may become equal. Subtract a constant from the column, such as "
            "its smallest value"
        )
