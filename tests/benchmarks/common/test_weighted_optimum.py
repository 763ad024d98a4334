import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch.nn.functional import one_hot

from benchmarks.common.weighted_optimum import WeightedOptimum, discounted_sums
from datamodules import SyntheticSessions

#: Grid and masses that integrate over two features from N(0, 1).
POINTS, WEIGHTS = np.polynomial.hermite_e.hermegauss(30)
FEATURES = np.stack(np.meshgrid(POINTS, POINTS), axis=-1).reshape(-1, 2)
MASS = np.outer(WEIGHTS, WEIGHTS).ravel() / WEIGHTS.sum() ** 2
RATES = 1 / (1 + np.exp(-2.0 * FEATURES @ [[1.0, 0.0], [0.0, 1.0]]))


def population_optimum(kinds: tuple[float, float]) -> np.ndarray:
    """Return the best coefficients of the features if the opening rows of both kinds have these weights."""

    def loss(coefficients: np.ndarray) -> float:
        logit = (FEATURES @ coefficients)[:, None]
        losses = MASS @ (RATES * np.logaddexp(0, -logit) + (1 - RATES) * np.logaddexp(0, logit))
        return float(losses @ kinds)

    found: np.ndarray = minimize(loss, np.zeros(2)).x
    return found


def slopes(data: SyntheticSessions, logit: np.ndarray) -> np.ndarray:
    """Return the coefficients of the features before they were standardised."""
    rows = data.rows["test"]
    fields = [one_hot(rows.categorical[:, place], size) for place, size in enumerate(data.field_sizes)]
    inputs = torch.cat([rows.numerical, *fields], dim=1).double().numpy()
    # Features of opening rows have variance 1, and page and position say which rows these are.
    is_opening = rows.categorical[:, 1].numpy() <= 2
    found: np.ndarray = np.linalg.lstsq(inputs, logit, rcond=None)[0][:2]
    return found * inputs[is_opening, :2].std(axis=0)


def test_optima_are_those_of_the_population() -> None:
    data = SyntheticSessions(num_sessions=20_000, scale=2.0, angle=90.0, later_rows=(4, 0))
    optimum = WeightedOptimum(data)
    assert slopes(data, optimum.equal()) == pytest.approx(population_optimum((1, 1)), abs=0.05)
    assert slopes(data, optimum.of_sessions()) == pytest.approx(population_optimum((1 / 6, 1 / 2)), abs=0.05)


def test_true_values_are_those_of_the_rest_of_the_session() -> None:
    data = SyntheticSessions(
        num_sessions=20_000, scale=2.0, angle=90.0, opening_rows=1, later_rows=(1, 1), later_rates=(1.0, 0.5)
    )
    weights: list[np.ndarray] = []

    def weigh(value: np.ndarray) -> np.ndarray:
        weights.append(-value)
        return -value

    WeightedOptimum(data).of_true_values(weigh, 0.9)
    opening, later = weights[0].reshape(-1, 2).T
    troubled = data.probabilities["train"].reshape(-1, 2)[:, 1] == 0.5
    assert later[troubled] == pytest.approx(np.log(2), abs=0.01)
    assert later[~troubled] == pytest.approx(0, abs=0.01)
    assert opening[troubled].mean() - opening[~troubled].mean() == pytest.approx(0.9 * np.log(2), abs=0.03)


def test_discounted_sums_end_with_the_session() -> None:
    sums = discounted_sums(np.array([1.0, 2.0, 3.0, 4.0]), np.array([0, 0, 0, 1]), 0.5)
    assert sums.tolist() == [1 + 0.5 * 2 + 0.25 * 3, 2 + 0.5 * 3, 3, 4]
