import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from datamodules import SyntheticImpressions


def one_hot(data: SyntheticImpressions, name: str) -> np.ndarray:
    rows = data.rows[name]
    fields = [torch.nn.functional.one_hot(rows.categorical[:, i], size) for i, size in enumerate(data.field_sizes)]
    return torch.cat([*fields, rows.numerical], dim=1).numpy()


def test_logistic_regression_comes_close_to_the_best_attainable_auc_and_not_above() -> None:
    data = SyntheticImpressions(num_categories=(20, 10, 5), num_sessions=3_000, seed=0)
    best = data.best_attainable_auc
    model = LogisticRegression().fit(one_hot(data, "train"), data.rows["train"].label[:, 0])
    reached = roc_auc_score(data.rows["test"].label[:, 0], model.predict_proba(one_hot(data, "test"))[:, 1])
    assert best["click"] - 0.02 < reached < best["click"] + 0.005
    assert 0.7 < best["conversion"] < 0.95


def test_conversions_need_a_click_and_rates_are_those_planted() -> None:
    data = SyntheticImpressions(scale=0.0, session_scale=0.0, click_offset=1.0, conversion_offset=-1.0, seed=0)
    data.setup()
    label = torch.cat([rows.label for rows in data.rows.values()])
    assert (label[:, 1] <= label[:, 0]).all()
    sigmoid = 1 / (1 + np.exp(-1))
    assert label[:, 0].mean().item() == pytest.approx(sigmoid, abs=0.01)
    assert label[label[:, 0] == 1, 1].mean().item() == pytest.approx(1 - sigmoid, abs=0.01)


def test_session_effect_makes_a_session_s_clicks_alike() -> None:
    spread = {}
    for scale in (0.0, 2.0):
        data = SyntheticImpressions(scale=0.0, session_scale=scale, seed=0)
        data.setup()
        train = data.rows["train"]
        clicks = torch.bincount(train.session, weights=train.label[:, 0])[train.session.unique()]
        spread[scale] = clicks.var().item()
    assert spread[2.0] > 2 * spread[0.0]


def test_sessions_are_whole_and_belong_to_one_user() -> None:
    data = SyntheticImpressions(seed=0)
    data.setup()
    sessions = [set(rows.session.tolist()) for rows in data.rows.values()]
    assert not sessions[0] & sessions[1]
    assert not sessions[1] & sessions[2]
    train = data.rows["train"]
    assert len(torch.stack([train.session, train.user]).unique(dim=1)[0]) == len(sessions[0])


def test_data_seed_alone_decides_the_rows() -> None:
    first, same, other = (SyntheticImpressions(data_seed=seed, seed=order) for seed, order in ((1, 1), (1, 2), (2, 1)))
    assert torch.equal(first._rows("train").categorical, same._rows("train").categorical)
    assert not torch.equal(first._rows("train").categorical, other._rows("train").categorical)
