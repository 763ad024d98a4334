import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from datamodules import SyntheticInteractions
from datamodules.tables.splits import Splits


def tables(**options: int | float) -> Splits:
    return SyntheticInteractions(**options).read_splits()  # type: ignore[arg-type]


def test_best_attainable_auc_is_that_of_the_true_probabilities() -> None:
    data = SyntheticInteractions()
    test = data.read_splits().test
    assert data.best_attainable_auc == pytest.approx(roc_auc_score(test.label, test.probability), abs=1e-6)
    assert 0.8 < data.best_attainable_auc < 0.87


def test_labels_follow_the_probabilities() -> None:
    train = tables().train
    logit = np.log(train.probability / (1 - train.probability)).to_numpy()[:, None]
    fitted = LogisticRegression(C=1e6).fit(logit, train.label)
    assert fitted.coef_[0, 0] == pytest.approx(1, abs=0.06)
    assert fitted.intercept_[0] == pytest.approx(0, abs=0.06)


def test_biases_alone_do_not_explain_the_labels() -> None:
    """Mean labels of users and items rank clearly worse than the planted factors: there is something to learn."""
    train, test = (part.reset_index(drop=True) for part in (tables().train, tables().test))
    mean = test.user.map(train.groupby("user").label.mean()) + test["item"].map(train.groupby("item").label.mean())
    assert 0.65 < roc_auc_score(test.label, mean) < roc_auc_score(test.label, test.probability) - 0.05


def test_pairs_are_distinct_and_within_the_sizes() -> None:
    train, validation, test = tables(num_users=20, num_items=10, num_interactions=200)
    pairs = {pair for part in (train, validation, test) for pair in zip(part.user, part["item"], strict=True)}
    assert pairs == {(user, item) for user in range(20) for item in range(10)}
    assert [len(train), len(validation), len(test)] == [160, 20, 20]


def test_data_seed_alone_decides_the_data() -> None:
    first, same, other = (tables(data_seed=data_seed, seed=seed) for data_seed, seed in ((1, 1), (1, 2), (2, 1)))
    assert first.train.equals(same.train)
    assert not first.train.equals(other.train)


def test_more_interactions_than_pairs_are_refused() -> None:
    with pytest.raises(ValueError, match="26 interactions are more than the pairs of 5 users and 5 items"):
        SyntheticInteractions(num_users=5, num_items=5, num_interactions=26)


def test_a_share_of_the_labels_is_the_other_one() -> None:
    plain, noisy = tables(scale=100).train, tables(scale=100, mislabelled=0.2).train
    assert plain[["user", "item"]].equals(noisy[["user", "item"]])
    assert (plain.label != noisy.label).mean() == pytest.approx(0.2, abs=0.01)
    assert noisy.probability.min() == pytest.approx(0.2)
    assert noisy.probability.max() == pytest.approx(0.8)


def test_labels_that_say_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match=r"mislabelled is 0.5, but only a share of less than 1/2"):
        tables(mislabelled=0.5)
