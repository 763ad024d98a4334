import logging

import numpy as np
import pytest
import torch
from sklearn.metrics import ndcg_score

from datamodules import CatalogueLoader, SyntheticFeedback


def drawn(**options: float) -> SyntheticFeedback:
    data = SyntheticFeedback(**options)  # type: ignore[arg-type]
    data.setup()
    return data


def ndcg(data: SyntheticFeedback, score: np.ndarray, k: int = 20) -> float:
    """NDCG of a ranking by scores [num_users, num_items] of the catalogue."""
    test = CatalogueLoader(
        torch.arange(data.num_users), data.num_users, seen=data.items_of_training(), relevant=data.items_of_training()
    )
    (block,) = test
    score = score.copy()
    score[block.seen[0], block.seen[1]] = score.min() - 1
    relevant = np.zeros_like(score)
    relevant[data.rows["test"].user, data.rows["test"].item] = 1
    kept = relevant.any(axis=1)
    return float(ndcg_score(relevant[kept], score[kept], k=k))


def log_probability(data: SyntheticFeedback) -> np.ndarray:
    return data._log_probability(data.user_ids)[:, data.item_ids]


@pytest.mark.parametrize("k", [1, 10, 20, 1000])
def test_the_best_ndcg_is_that_of_the_planted_probabilities(k: int) -> None:
    data = drawn()
    assert data.best_attainable_ndcg(k) == pytest.approx(ndcg(data, log_probability(data), k), abs=1e-6)


def test_other_rankings_are_worse(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    data = drawn()
    best = data.best_attainable_ndcg()
    assert f"The best attainable NDCG@20 of the test is {best:.4f}" in caplog.text
    popularity = data.items_of_training().transposed.count.double().numpy()
    noise = np.random.default_rng(0).normal(size=log_probability(data).shape)
    popular, noisy = ndcg(data, np.tile(popularity, (data.num_users, 1))), ndcg(data, log_probability(data) + noise)
    preference = ndcg(data, log_probability(data) - data._popularity[data.item_ids])
    assert 0.05 < popular < best - 0.15
    assert noisy < best - 0.03
    assert preference < best - 0.03


def test_choices_without_preferences_follow_popularity_alone() -> None:
    data = drawn(scale=0.0)
    popularity = data.items_of_training().transposed.count.double().numpy()
    assert ndcg(data, np.tile(popularity, (data.num_users, 1))) > data.best_attainable_ndcg() - 0.02
    assert np.corrcoef(popularity, np.exp(data._popularity[data.item_ids]))[0, 1] > 0.9


def test_false_negatives_lower_what_can_be_attained() -> None:
    assert drawn(false_negatives=0.5).best_attainable_ndcg() < drawn(false_negatives=0.0).best_attainable_ndcg() - 0.1


def test_sizes_and_splits_are_as_asked() -> None:
    data = drawn(num_users=100, num_items=80, num_interactions=2000)
    assert data.num_users == 100
    assert data.num_items <= 80
    assert sum(len(rows.user) for rows in data.rows.values()) == pytest.approx(2000, rel=0.05)
    count = torch.stack([torch.bincount(rows.user, minlength=100) for rows in data.rows.values()])
    assert count.min() >= 1
    assert (count[0] / count.sum(dim=0)).tolist() == pytest.approx([0.8] * 100, abs=0.05)


def test_the_data_seed_alone_decides_the_data() -> None:
    first, same, other = (drawn(data_seed=data_seed, seed=seed) for data_seed, seed in ((1, 1), (1, 2), (2, 1)))
    assert first.fingerprint() == same.fingerprint() != other.fingerprint()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_interactions": 5000}, "give at least 10 a user"),
        ({"num_interactions": 100_000}, "and at most 96000, so that no user chooses half"),
        ({"false_negatives": 1.0}, r"false_negatives is 1\.0"),
    ],
)
def test_impossible_data_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        drawn(**options)
