"""The optimum of a logistic regression under row weights, by Newton's method, and what the true values are."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F

from datamodules import SyntheticSessions

_STEPS, _ROUNDS = 10, 20
# Makes the Hessian invertible, since the categories of a field add up to the intercept.
_RIDGE = 1e-6


class WeightedOptimum:
    """Logistic regressions of a click, fitted to all training rows at once.

    Args:
        data: The sessions.
    """

    def __init__(self, data: SyntheticSessions) -> None:
        data.setup()
        self._data = data
        self._inputs = {name: _one_hot(data, name) for name in ("train", "test")}
        train = data.rows["train"]
        self._label = train.label[:, 0].double().numpy()
        self._session = train.session.numpy()
        self._probability = data.probabilities["train"]

    def equal(self) -> np.ndarray:
        """Return the test logits under equal weights, where training on BCE leads."""
        return self._test_logits(self._fitted(np.ones_like(self._label)))

    def of_sessions(self) -> np.ndarray:
        """Return the test logits under weights that make a row mean the mean over sessions of the session's mean."""
        _, index, rows = np.unique(self._session, return_inverse=True, return_counts=True)
        return self._test_logits(self._fitted(1 / rows[index]))

    def of_labels(self) -> np.ndarray:
        """Return the test logits under weights that give both labels the same sum of weights."""
        share = self._label.mean()
        return self._test_logits(self._fitted(np.where(self._label > 0, 1 / share, 1 / (1 - share))))

    def of_true_values(self, weigh: Callable[[np.ndarray], np.ndarray], discount: float) -> np.ndarray:
        """Return the test logits under weights of the true values, which change with the model until both agree.

        Args:
            weigh: Returns the weights of values that are at most 0, both [n].
            discount: Discount of the next row's value.
        """
        coefficients = self._fitted(np.ones_like(self._label))
        for _ in range(_ROUNDS):
            value = -discounted_sums(self._expected_loss(coefficients), self._session, discount)
            # Half of a step, since the weights answer it: where the model improves, they fall.
            coefficients = coefficients - self._step(weigh(value), coefficients) / 2
        return self._test_logits(coefficients)

    def _expected_loss(self, coefficients: np.ndarray) -> np.ndarray:
        logit = self._inputs["train"] @ coefficients
        return self._probability * np.logaddexp(0, -logit) + (1 - self._probability) * np.logaddexp(0, logit)

    def _fitted(self, weight: np.ndarray) -> np.ndarray:
        coefficients: np.ndarray = np.zeros(self._inputs["train"].shape[1])
        for _ in range(_STEPS):
            coefficients = coefficients - self._step(weight, coefficients)
        return coefficients

    def _step(self, weight: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
        inputs = self._inputs["train"]
        probability = 1 / (1 + np.exp(-inputs @ coefficients))
        gradient = inputs.T @ (weight * (probability - self._label)) + _RIDGE * coefficients
        curvature = weight * probability * (1 - probability)
        hessian = (inputs.T * curvature) @ inputs + _RIDGE * np.eye(len(coefficients))
        step: np.ndarray = np.linalg.solve(hessian, gradient)
        return step

    def _test_logits(self, coefficients: np.ndarray) -> np.ndarray:
        return self._inputs["test"] @ coefficients


def session_log_loss(data: SyntheticSessions, logit: np.ndarray) -> float:
    """Return the mean over the test sessions of the session's mean log-loss, for logits [n] of the test rows."""
    rows = data.rows["test"]
    log_loss = np.logaddexp(0, np.where(rows.label[:, 0].numpy() > 0, -logit, logit))
    return float(pd.Series(log_loss).groupby(rows.session.numpy()).mean().mean())


def discounted_sums(loss: np.ndarray, session: np.ndarray, discount: float) -> np.ndarray:
    """Return every row's loss and the discounted losses of the later rows of its session.

    Args:
        loss: Losses, float [n].
        session: Number of every row's session, int64 [n], whose rows follow one another.
        discount: Discount of each later row.
    """
    sums = loss.copy()
    goes_on = session[:-1] == session[1:]
    for _ in range(np.unique(session, return_counts=True)[1].max() - 1):
        sums[:-1] = loss[:-1] + discount * np.where(goes_on, sums[1:], 0)
    return sums


def _one_hot(data: SyntheticSessions, split: str) -> np.ndarray:
    rows = data.rows[split]
    fields = [F.one_hot(rows.categorical[:, place], size) for place, size in enumerate(data.field_sizes)]
    inputs: np.ndarray = torch.cat([*fields, rows.numerical], dim=1).double().numpy()
    return inputs
