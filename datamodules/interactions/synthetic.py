"""Synthetic interactions with known preferences, for which the best attainable AUC is known."""

import numpy as np
import pandas as pd
import torch
from torchmetrics.functional.classification import binary_auroc

from datamodules.interactions.datamodule import InteractionsDataModule
from datamodules.tables.splits import Splits


class SyntheticInteractions(InteractionsDataModule):
    """Labels drawn from planted low-rank preferences: P(label = 1) = sigmoid(scale * (u.v + b_u + b_i) + offset).

    The entries of the factors are drawn from N(0, rank^-1/2), so that u.v has variance 1, the biases from N(0, 1/2),
    and the pairs of user and item uniformly without replacement.

    Args:
        num_users: Number of users, without the unknown one.
        num_items: Number of items, without the unknown one.
        num_interactions: Rows of all three splits together.
        rank: Length of the planted factors.
        scale: Factor of the preferences' logit.
        offset: Logit of a pair without preference.
        mislabelled: Share of the rows of every split whose label is the other one. Bounded losses are less misled by
            them than BCE (Ghosh, Kumar and Sastry, "Robust Loss Functions under Label Noise for Deep Neural Networks",
            AAAI 2017, https://arxiv.org/abs/1712.09482).
        data_seed: Seed of the preferences, pairs, labels and split.
        batch_size: Training rows, or pairs, a batch and process.
        eval_batch_size: Rows a batch and process in validation, test and prediction.
        seed: Seed of the training order and of drawn negatives; None takes torch's seed when training is set up.
        ratios: Shares of training, validation and test rows.

    Raises:
        ValueError: If there are more interactions than pairs of user and item, or ``mislabelled`` is no share below
            1/2.
    """

    def __init__(
        self,
        *,
        num_users: int = 300,
        num_items: int = 200,
        num_interactions: int = 40_000,
        rank: int = 4,
        scale: float = 1.25,
        offset: float = 0.0,
        mislabelled: float = 0.0,
        data_seed: int = 0,
        batch_size: int = 512,
        eval_batch_size: int = 16384,
        seed: int | None = None,
        ratios: tuple[float, float, float] = (0.8, 0.1, 0.1),
    ) -> None:
        super().__init__(
            "synthetic",
            batch_size=batch_size,
            eval_batch_size=eval_batch_size,
            seed=seed,
            ratios=ratios,
            split_seed=data_seed,
        )
        if num_interactions > num_users * num_items:
            raise ValueError(
                f"{num_interactions} interactions are more than the pairs of {num_users} users and {num_items} items; "
                "ask for fewer"
            )
        if not 0 <= mislabelled < 0.5:
            raise ValueError(
                f"mislabelled is {mislabelled:g}, but only a share of less than 1/2 leaves anything to learn"
            )
        self.num_interactions = num_interactions
        self.mislabelled = mislabelled
        self.rank = rank
        self.scale = scale
        self.offset = offset
        self.data_seed = data_seed
        self._size = (num_users, num_items)

    @property
    def best_attainable_auc(self) -> float:
        """AUC of the true probabilities on the test rows."""
        self._load()
        return float(binary_auroc(self._test_probability, self.rows["test"].label.long()))

    def read_splits(self) -> Splits:
        """Draw preferences, pairs and labels, and split them at random."""
        generator = np.random.default_rng(self.data_seed)
        user, item = self._pairs(generator)
        probability = self._probability(user, item, generator)
        label = (generator.random(len(user)) < probability).astype("float32")
        table = pd.DataFrame({"user": user, "item": item, "label": label, "probability": probability})
        splits = self.split_table(table)
        self._test_probability = torch.from_numpy(splits.test["probability"].to_numpy(copy=True))
        return splits

    def _pairs(self, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        num_users, num_items = self._size
        cells = generator.choice(num_users * num_items, self.num_interactions, replace=False)
        return np.divmod(cells, num_items)

    def _probability(self, user: np.ndarray, item: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        user_factors, item_factors = (generator.normal(0, self.rank**-0.25, (n, self.rank)) for n in self._size)
        user_bias, item_bias = (generator.normal(0, 0.5**0.5, n) for n in self._size)
        affinity = (user_factors[user] * item_factors[item]).sum(axis=1) + user_bias[user] + item_bias[item]
        preferred = 1 / (1 + np.exp(-self.scale * affinity - self.offset))
        probability: np.ndarray = self.mislabelled + (1 - 2 * self.mislabelled) * preferred
        return probability
