"""Synthetic sessions of two kinds, of which the one that a row mean undercounts loses more in its later rows."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from datamodules.impressions.datamodule import ImpressionsDataModule
from datamodules.impressions.encoding import Impressions

_KINDS = ("smooth", "troubled")


class SyntheticSessions(ImpressionsDataModule):
    """Clicks in smooth and troubled sessions, which ask for different predictions from the same features.

    A session is smooth or troubled with equal probability. In its opening rows two features ``x`` are drawn from
    N(0, I), and ``P(click) = sigmoid(scale * x . u)``; the unit vectors ``u`` of the two kinds enclose an angle. Its
    later rows have ``x = 0`` and the kind's rate of clicks: those of smooth sessions are many and easy to predict,
    those of troubled sessions are few and hard.

    The fields are the page, which says a row's kind and whether it is an opening row, and its position in the session.
    A model that has no products of page and features, such as a logistic regression, has one direction for both kinds.
    The mean over rows weighs the opening rows of both alike. The mean over sessions of the session's mean, the session
    log-loss, weighs those of troubled sessions more. So do weights that grow with what is lost in the rest of the
    session, but not weights that grow with the loss of the row alone.

    Args:
        num_sessions: Sessions of all three splits together.
        opening_rows: Opening rows of a session.
        later_rows: Later rows of a smooth and of a troubled session.
        later_rates: Probability of a click in the later rows of a smooth and of a troubled session.
        scale: Standard deviation of the features' effect on the logit of an opening row.
        angle: Degrees between the directions of the two kinds.
        data_seed: Seed of everything that is drawn.
        ratios: Shares of training, validation and test rows.
        batch_size: Training rows a batch and process.
        eval_batch_size: Rows a batch and process in validation, test and prediction.
        seed: Seed of the training order; None takes torch's seed when training is set up.

    Raises:
        ValueError: If a session would have no opening row or a negative number of later rows, or a rate is no
            probability.
    """

    def __init__(
        self,
        *,
        num_sessions: int = 8_000,
        opening_rows: int = 2,
        later_rows: tuple[int, int] = (16, 4),
        later_rates: tuple[float, float] = (0.99, 0.5),
        scale: float = 6.0,
        angle: float = 120.0,
        data_seed: int = 0,
        ratios: tuple[float, float, float] = (0.5, 0.1, 0.4),
        batch_size: int = 512,
        eval_batch_size: int = 16384,
        seed: int | None = None,
    ) -> None:
        if opening_rows < 1 or min(later_rows) < 0:
            raise ValueError(
                f"a session needs opening_rows of at least 1 and later_rows of at least 0, got {opening_rows} and "
                f"{tuple(later_rows)}"
            )
        if not all(0 <= rate <= 1 for rate in later_rates):
            raise ValueError(f"later_rates are probabilities and must lie in [0, 1], got {tuple(later_rates)}")
        super().__init__(
            "synthetic sessions",
            categorical_columns=["page", "position"],
            numerical_columns=["feature_0", "feature_1"],
            tasks=["click"],
            session_column="session",
            time_column="time",
            ratios=ratios,
            batch_size=batch_size,
            eval_batch_size=eval_batch_size,
            seed=seed,
        )
        self.num_sessions = num_sessions
        self.opening_rows = opening_rows
        self.later_rows = later_rows
        self.later_rates = later_rates
        self.scale = scale
        self.angle = angle
        self.data_seed = data_seed

    @property
    def probabilities(self) -> Mapping[str, np.ndarray]:
        """The true probability of a click in every row of each split, float64 [n]."""
        self._load()
        return self._probabilities

    @property
    def best_attainable_session_log_loss(self) -> float:
        """Mean over the test sessions of the mean log-loss of the true probabilities."""
        probability, rows = self.probabilities["test"], self.rows["test"]
        label = rows.label[:, 0].numpy().astype(bool)
        log_loss = -np.log(np.where(label, probability, 1 - probability))
        return float(pd.Series(log_loss).groupby(rows.session.numpy()).mean().mean())

    def read_impressions(self) -> Impressions:
        """Draw kinds, features and labels."""
        generator = np.random.default_rng(self.data_seed)
        troubled = generator.integers(2, size=self.num_sessions)
        length = self.opening_rows + np.asarray(self.later_rows)[troubled]
        session = np.repeat(np.arange(self.num_sessions), length)
        position = np.arange(len(session)) - np.repeat(length.cumsum() - length, length)
        kind, is_opening = troubled[session], position < self.opening_rows
        features = is_opening[:, None] * generator.normal(size=(len(session), 2))
        probability = self._probability(kind, is_opening, features)
        table = _table(session, position, kind, is_opening, features).assign(
            click=(generator.random(len(session)) < probability).astype("float32")
        )
        rows = self.split_table(table)
        self._probabilities = {name: probability[numbers] for name, numbers in rows.items()}
        return self._impressions(table, rows)

    def _probability(self, kind: np.ndarray, is_opening: np.ndarray, features: np.ndarray) -> np.ndarray:
        angle = np.radians([0.0, self.angle])
        directions = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        logit = self.scale * (features * directions[kind]).sum(axis=1)
        of_row: np.ndarray = np.where(is_opening, 1 / (1 + np.exp(-logit)), np.asarray(self.later_rates)[kind])
        return of_row


def _table(
    session: np.ndarray, position: np.ndarray, kind: np.ndarray, is_opening: np.ndarray, features: np.ndarray
) -> pd.DataFrame:
    pages = [f"{name}_{part}" for name in _KINDS for part in ("later", "opening")]
    return pd.DataFrame(
        {
            "page": pd.Categorical.from_codes(2 * kind + is_opening, pages),
            "position": pd.Categorical(position.astype(str)),
            "feature_0": features[:, 0].astype("float32"),
            "feature_1": features[:, 1].astype("float32"),
            "session": pd.Categorical(session.astype(str)),
            "time": session,
        }
    )
