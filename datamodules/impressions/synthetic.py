"""Synthetic impressions with known click and conversion rates, for which the best attainable AUC is known."""

import numpy as np
import pandas as pd
import torch
from torchmetrics.functional.classification import binary_auroc

from datamodules.impressions.datamodule import ImpressionsDataModule
from datamodules.impressions.encoding import Impressions

_QUADRATURE_POINTS = 40


class SyntheticImpressions(ImpressionsDataModule):
    """Clicks and conversions with planted rates; a conversion happens only after a click.

    P(click) = sigmoid(click_offset + sum of field effects + numerical . weights + session effect)
    P(conversion | click) = sigmoid(conversion_offset + sum of other field effects + numerical . other weights)

    The first field is the user, the same in a whole session; its other values are drawn uniformly, the numerical
    features from N(0, 1). The effects of all fields and features together have variance ``scale``^2, and the session's
    effect, which no feature shows, has variance ``session_scale``^2. Sessions follow one another in time.

    Args:
        num_sessions: Sessions of all three splits together.
        session_length: Rows of a session.
        num_categories: Number of categories of each field; the first are the users.
        num_features: Number of numerical features.
        scale: Standard deviation of the features' effect on the logit.
        session_scale: Standard deviation of the session's effect on the logit.
        click_offset: Logit of a click without effects.
        conversion_offset: Logit of a conversion after a click without effects.
        data_seed: Seed of everything that is drawn.
        ratios: Shares of training, validation and test rows.
        batch_size: Training rows a batch and process.
        eval_batch_size: Rows a batch and process in validation, test and prediction.
        seed: Seed of the training order; None takes torch's seed when training is set up.
    """

    def __init__(
        self,
        *,
        num_sessions: int = 4_000,
        session_length: int = 10,
        num_categories: tuple[int, ...] = (200, 100, 20, 5),
        num_features: int = 2,
        scale: float = 1.25,
        session_scale: float = 0.5,
        click_offset: float = 0.0,
        conversion_offset: float = -0.5,
        data_seed: int = 0,
        ratios: tuple[float, float, float] = (0.8, 0.1, 0.1),
        batch_size: int = 512,
        eval_batch_size: int = 16384,
        seed: int | None = None,
    ) -> None:
        super().__init__(
            "synthetic impressions",
            categorical_columns=["user", *(f"field_{place}" for place in range(1, len(num_categories)))],
            numerical_columns=[f"feature_{place}" for place in range(num_features)],
            tasks=["click", "conversion"],
            session_column="session",
            user_column="user",
            time_column="time",
            funnel=True,
            ratios=ratios,
            batch_size=batch_size,
            eval_batch_size=eval_batch_size,
            seed=seed,
        )
        self.num_sessions = num_sessions
        self.session_length = session_length
        self.num_categories = num_categories
        self.scale = scale
        self.session_scale = session_scale
        self.offsets = (click_offset, conversion_offset)
        self.data_seed = data_seed

    @property
    def best_attainable_auc(self) -> dict[str, float]:
        """AUC on the test rows, for each task, of its true probability given the features."""
        self._load()
        label = self.rows["test"].label.long()
        probabilities = torch.from_numpy(self._test_probability)
        return {task: float(binary_auroc(probabilities[:, i], label[:, i])) for i, task in enumerate(self.tasks)}

    def read_impressions(self) -> Impressions:
        """Draw features, effects and labels."""
        generator = np.random.default_rng(self.data_seed)
        session = np.repeat(np.arange(self.num_sessions), self.session_length)
        categories, numbers = self._features(session, generator)
        click_logit, conversion_logit = (
            offset + self._effects(categories, numbers, generator) for offset in self.offsets
        )
        of_session = self.session_scale * generator.normal(size=self.num_sessions)
        click = generator.random(len(session)) < _sigmoid(click_logit + of_session[session])
        conversion = click & (generator.random(len(session)) < _sigmoid(conversion_logit))
        table = self._table(session, categories, numbers).assign(
            click=click.astype("float32"), conversion=conversion.astype("float32")
        )
        rows = self.split_table(table)
        click_rate = _mean_over_sessions(click_logit[rows["test"]], self.session_scale)
        conversion_rate = click_rate * _sigmoid(conversion_logit[rows["test"]])
        self._test_probability = np.stack([click_rate, conversion_rate], axis=1)
        return self._impressions(table, rows)

    def _features(self, session: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        users = generator.integers(self.num_categories[0], size=self.num_sessions)[session]
        others = [generator.integers(size, size=len(session)) for size in self.num_categories[1:]]
        return np.stack([users, *others]), generator.normal(size=(len(session), len(self.numerical_columns)))

    def _effects(self, categories: np.ndarray, numbers: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        each = self.scale / np.sqrt(len(categories) + numbers.shape[1])
        effects: np.ndarray = numbers @ generator.normal(0, each, numbers.shape[1])
        for category, size in zip(categories, self.num_categories, strict=True):
            effects += generator.normal(0, each, size)[category]
        return effects

    def _table(self, session: np.ndarray, categories: np.ndarray, numbers: np.ndarray) -> pd.DataFrame:
        columns = dict(zip(self.categorical_columns, categories, strict=True)) | {"session": session}
        table = {name: pd.Categorical(values.astype(str)) for name, values in columns.items()}
        features = dict(zip(self.numerical_columns, numbers.T.astype("float32"), strict=True))
        return pd.DataFrame({**table, **features, "time": session})


def _sigmoid(logit: np.ndarray) -> np.ndarray:
    probability: np.ndarray = 1 / (1 + np.exp(-logit))
    return probability


def _mean_over_sessions(logit: np.ndarray, scale: float) -> np.ndarray:
    """Return E[sigmoid(logit + scale * z)] for z from N(0, 1), by Gauss-Hermite quadrature."""
    points, weights = np.polynomial.hermite_e.hermegauss(_QUADRATURE_POINTS)
    mean: np.ndarray = _sigmoid(logit[:, None] + scale * points) @ (weights / weights.sum())
    return mean
