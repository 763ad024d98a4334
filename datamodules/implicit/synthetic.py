"""Synthetic implicit feedback with known preferences, for which the best attainable NDCG is known."""

from typing import Literal

import numpy as np
import pandas as pd
import torch
from pytorch_lightning.utilities import rank_zero_info
from torch import Tensor

from datamodules.batches import CatalogueBatch, FeedbackRows
from datamodules.implicit.datamodule import ImplicitFeedback
from datamodules.implicit.layouts import FeedbackTables
from datamodules.implicit.negatives import Negatives

_SHOWN_K = 20
_BLOCK = 1024
# A user of whom fewer are known has none left for validation or test.
_FEWEST = 10


class SyntheticFeedback(ImplicitFeedback):
    """Items chosen by planted preferences and popularity, of which some are not recorded.

    A user chooses items one after another without replacement, each with a probability proportional to
    ``exp(scale * u.v + popularity * b)``. The entries of the factors are drawn from N(0, rank^-1/2), so that ``u.v``
    has variance 1, and the items' ``b`` from N(0, 1); how active users are is log-normal. Of the chosen items a share
    is lost at random: these false negatives look like items that the user did not choose. The rest is split at random.

    Given the training items, an item with a larger probability is more likely to be a test item. So the ranking by the
    probabilities has the largest expected NDCG, and another ranking exceeds it by chance alone.

    Args:
        num_users: Number of users.
        num_items: Number of items; those that nobody chose are not in the catalogue.
        num_interactions: Rows of all three splits together, about.
        rank: Length of the planted factors.
        scale: Factor of the preferences in the logarithm of the probability.
        popularity: Standard deviation of the items' popularity in the logarithm of the probability.
        false_negatives: Share of the chosen items that are not recorded.
        data_seed: Seed of the preferences, choices and split.
        negatives: Where the negatives of training come from; None takes ``UniformNegatives``.
        batch_size: Training rows a batch and process.
        eval_batch_size: Users a block and process in validation, test and prediction.
        seed: Seed of the training order and of the negatives; None takes torch's seed when training is set up.
        ratios: Shares of each user's rows for training, validation and test.
        mask: Whether the test masks the items of training, or those of validation, too.

    Raises:
        ValueError: If there are too many or too few interactions for the users and items, or the share of false
            negatives is none.
    """

    def __init__(
        self,
        *,
        num_users: int = 600,
        num_items: int = 400,
        num_interactions: int = 24_000,
        rank: int = 4,
        scale: float = 2.0,
        popularity: float = 1.0,
        false_negatives: float = 0.2,
        data_seed: int = 0,
        negatives: Negatives | None = None,
        batch_size: int = 512,
        eval_batch_size: int = 512,
        seed: int | None = None,
        ratios: tuple[float, float, float] = (0.8, 0.1, 0.1),
        mask: Literal["training", "all"] = "training",
    ) -> None:
        super().__init__(
            "synthetic",
            negatives=negatives,
            batch_size=batch_size,
            eval_batch_size=eval_batch_size,
            seed=seed,
            ratios=ratios,
            split_seed=data_seed,
            mask=mask,
        )
        if not 0 <= false_negatives < 1:
            raise ValueError(f"false_negatives is {false_negatives}, but a share of the chosen items is in [0, 1)")
        most = int(num_users * num_items * (1 - false_negatives) / 2)
        if not num_users * _FEWEST <= num_interactions <= most:
            raise ValueError(
                f"{num_interactions} interactions of {num_users} users with {num_items} items: give at least "
                f"{_FEWEST} a user, and at most {most}, so that no user chooses half of the items"
            )
        self.num_interactions = num_interactions
        self.rank = rank
        self.scale = scale
        self.popularity = popularity
        self.false_negatives = false_negatives
        self.data_seed = data_seed
        self._size = (num_users, num_items)

    def best_attainable_ndcg(self, k: int = _SHOWN_K) -> float:
        """Return the NDCG@k, in the test, of the ranking by the probabilities with which items are chosen."""
        self._load()
        gains = [self._ndcg(block, k) for block in self._catalogues("test", self._masked())]
        return float(torch.cat(gains).mean())

    def load_rows(self) -> dict[str, FeedbackRows]:
        """Draw the rows, and say how good a ranking can be."""
        self.rows = super().load_rows()
        rank_zero_info(f"The best attainable NDCG@{_SHOWN_K} of the test is {self.best_attainable_ndcg():.4f}")
        return self.rows

    def read_tables(self) -> FeedbackTables:
        """Draw preferences and choices."""
        generator = np.random.default_rng(self.data_seed)
        num_users, num_items = self._size
        factors = [generator.normal(0, self.rank**-0.25, (size, self.rank)) for size in self._size]
        self._factors = factors
        self._popularity = self.popularity * generator.normal(size=num_items)
        recorded = self._activity(generator)
        blocks = np.split(np.arange(num_users), range(_BLOCK, num_users, _BLOCK))
        choices = [self._choices(users, recorded[users], generator) for users in blocks]
        user, item = (np.concatenate(column) for column in zip(*choices, strict=True))
        return FeedbackTables(pd.DataFrame({"user": user, "item": item}))

    def _activity(self, generator: np.random.Generator) -> np.ndarray:
        """Return how many choices of every user are recorded, int64 [num_users]."""
        num_users, num_items = self._size
        activity = generator.lognormal(sigma=0.5, size=num_users)
        count: np.ndarray = np.rint(activity * self.num_interactions / activity.sum()).astype(int)
        return count.clip(_FEWEST, int(num_items * (1 - self.false_negatives) / 2))

    def _choices(
        self, users: np.ndarray, recorded: np.ndarray, generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the recorded choices of some users: the user and the item of each."""
        # The largest sums of a logarithm and a Gumbel number are a draw without replacement.
        utility = self._log_probability(users) + generator.gumbel(size=(len(users), self._size[1]))
        chosen = np.rint(recorded / (1 - self.false_negatives))[:, None]
        lost = np.where(_ranks(-utility) < chosen, generator.random(utility.shape), np.inf)
        place, item = np.nonzero(_ranks(lost) < recorded[:, None])
        return users[place], item

    def _log_probability(self, users: np.ndarray) -> np.ndarray:
        """Return the logarithms, but for a constant, of some users' probabilities, float64 [users, num_items]."""
        user_factors, item_factors = self._factors
        result: np.ndarray = self.scale * user_factors[users] @ item_factors.T + self._popularity
        return result

    def _ndcg(self, block: CatalogueBatch, k: int) -> Tensor:
        """Return the NDCG of every user of a block, float64 [users]."""
        score = torch.from_numpy(self._log_probability(self.user_ids[block.user.numpy()])[:, self.item_ids])
        score[block.seen[0], block.seen[1]] = -torch.inf
        is_relevant = torch.zeros_like(score)
        is_relevant[block.relevant[0], block.relevant[1]] = 1
        k = min(k, self.num_items)
        discount = 1 / torch.arange(2, k + 2, dtype=torch.float64).log2()
        gain = is_relevant.gather(1, score.topk(k).indices) @ discount
        ideal = discount.cumsum(0)[is_relevant.sum(dim=1).long().clamp(max=k) - 1]
        return gain / ideal


def _ranks(values: np.ndarray) -> np.ndarray:
    """Return the place of every value in the ascending order of its row."""
    return values.argsort(axis=1).argsort(axis=1)
