import warnings

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from datamodules import ImpressionBatch
from datamodules.impressions.leaks import feature_aucs, warn_of_leaks

NAMES = ["field", "other", "feature", "reversed"]


def rows(size: int, seed: int) -> ImpressionBatch:
    generator = np.random.default_rng(seed)
    label = (generator.random((size, 2)) < 0.3).astype("float32")
    categorical = np.stack([generator.integers(1, 6, size), generator.integers(0, 30, size)], axis=1)
    categorical[:, 0] = np.minimum(categorical[:, 0] + label[:, 0], 5)
    # Far from 0, where a sigmoid in single precision tells nothing apart.
    numerical = np.stack([100 + label[:, 1] + generator.normal(size=size), generator.normal(size=size)], axis=1)
    numerical[:, 1] -= label[:, 0]
    zeros = torch.zeros(size, dtype=torch.int64)
    return ImpressionBatch(
        torch.from_numpy(categorical.astype("int64")),
        torch.from_numpy(numerical.astype("float32")),
        torch.from_numpy(label),
        zeros,
        zeros,
        torch.arange(size),
    )


def test_single_feature_aucs_equal_independent_ones() -> None:
    train, validation = rows(400, 0), rows(300, 1)
    found = {(feature, task): auc for feature, task, auc in feature_aucs(train, validation, NAMES, ["a", "b"])}
    assert len(found) == 8
    for place, task in enumerate("ab"):
        label = validation.label[:, place].numpy()
        for column, name in enumerate(NAMES[:2]):
            known, mean = train.categorical[:, column], train.label[:, place].mean().item()
            means = [
                train.label[known == value, place].mean().item() if (known == value).any() else mean
                for value in validation.categorical[:, column]
            ]
            assert found[name, task] == pytest.approx(roc_auc_score(label, means), abs=1e-6)
        for column, name in enumerate(NAMES[2:]):
            auc = roc_auc_score(label, validation.numerical[:, column].numpy())
            assert found[name, task] == pytest.approx(max(auc, 1 - auc), abs=1e-6)


@pytest.mark.parametrize("kind", ["categorical", "numerical"])
def test_feature_that_tells_the_label_is_named(kind: str) -> None:
    train, validation = rows(400, 0), rows(300, 1)
    for part in (train, validation):
        getattr(part, kind)[:, 1] = (7 - 3 * part.label[:, 0]).to(getattr(part, kind).dtype)
    name = "other" if kind == "categorical" else "reversed"
    with pytest.warns(UserWarning, match=f"the feature '{name}' alone reaches an AUC of 1.0000 for task 'a'") as caught:
        warn_of_leaks(train, validation, NAMES, ["a", "b"])
    assert len(caught) == 1


def test_honest_features_and_single_labels_are_passed_over() -> None:
    train, validation = rows(400, 0), rows(300, 1)
    validation.label[:, 1] = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_leaks(train, validation, NAMES, ["a", "b"])
    assert {task for _, task, _ in feature_aucs(train, validation, NAMES, ["a", "b"])} == {"a"}
