"""Features that float32 keeps few digits of are named."""

import warnings

import numpy as np
import pandas as pd
import pytest

from datamodules.impressions.standardisation import Standardizer

SECONDS = 1_650_000_000 + np.arange(3600)


def fitted(values: np.ndarray) -> Standardizer:
    table = pd.DataFrame({"when": values.astype(np.float32)})
    return Standardizer.fit(table, ["when"], np.arange(len(table)))


@pytest.mark.parametrize("unit", [1, 1000])
def test_time_stamps_of_an_hour_are_told_to_lose_their_minutes(unit: int) -> None:
    assert len(np.unique((SECONDS * unit).astype(np.float32))) < 30
    with pytest.warns(UserWarning, match=r"column 'when' has a standard deviation of .* steps of .*Subtract") as told:
        fitted(SECONDS * unit)
    (warning,) = told
    assert f"steps of {128 if unit == 1 else '1.31e+05'}: cells" in str(warning.message)


@pytest.mark.parametrize(
    "values",
    [
        SECONDS - SECONDS[0],
        1_650_000_000 + 86_400 * np.arange(300),
        1_000_000 + np.arange(3),
        2015 + np.arange(10),
        np.random.default_rng(0).normal(52.5, 0.01, 1000),
        np.full(9, 1e9),
        np.array([np.nan, np.nan]),
        np.zeros(3),
        np.array([0.0, 1e-40]),
    ],
    ids=["from 0", "days", "exact", "years", "latitudes", "constant", "empty", "zero", "subnormal"],
)
@pytest.mark.filterwarnings("ignore:.*no filled cell")
def test_others_are_not(values: np.ndarray) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "column 'when' has a standard deviation")
        fitted(values)
