import math

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from lightning_modules.statistics.auc import auc_standard_error, weighted_auc


def rows(n: int, seed: int, *, tied: bool = False) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    label = (torch.rand(n, generator=generator) < 0.3).float()
    score = label + torch.randn(n, generator=generator)
    return (score * 2).round() if tied else score, label


def weights(shape: tuple[int, int], seed: int) -> Tensor:
    return torch.randint(4, shape, generator=torch.Generator().manual_seed(seed)).float()


@pytest.mark.parametrize("tied", [False, True])
def test_real_weights_give_the_auc_of_scikit_learn(tied: bool) -> None:
    score, label = rows(200, seed=1, tied=tied)
    weight = torch.rand(5, 200, generator=torch.Generator().manual_seed(2))
    expected = [roc_auc_score(label, score, sample_weight=row.double()) for row in weight]
    assert weighted_auc(score, label, weight).tolist() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("tied", [False, True])
def test_integer_weights_repeat_rows(tied: bool) -> None:
    score, label = rows(200, seed=3, tied=tied)
    counts = weights((5, 200), seed=4)
    repeated = [(np.repeat(label.numpy(), row), np.repeat(score.numpy(), row)) for row in counts.long().numpy()]
    expected = [roc_auc_score(*pair) for pair in repeated]
    assert weighted_auc(score, label, counts).tolist() == pytest.approx(expected, abs=1e-12)


def test_single_rows_count_beside_weights_beyond_single_precision() -> None:
    score, label = torch.tensor([0.0, 1.0, 2.0, 1.5]), torch.tensor([0.0, 0.0, 0.0, 1.0])
    weight = torch.tensor([[2.0**24, 1.0, 1.0, 1.0]])
    assert weighted_auc(score, label, weight).item() == (2**24 + 1) / (2**24 + 2)


def test_integer_labels_and_columns_of_a_table_will_do() -> None:
    score, label = rows(50, seed=5)
    columns = torch.stack([score, label], dim=1)
    ones = torch.ones(1, 50)
    assert weighted_auc(columns[:, 0], columns[:, 1].long(), ones).item() == pytest.approx(roc_auc_score(label, score))


def test_one_class_has_no_auc() -> None:
    score, label = rows(30, seed=6)
    one_class = torch.stack([label, 1 - label, torch.ones(30)])
    assert weighted_auc(score, label, one_class).isnan().tolist() == [True, True, False]
    assert weighted_auc(score, torch.ones(30), one_class).isnan().all()


def test_a_score_that_is_nan_has_no_auc() -> None:
    score, label = rows(30, seed=6)
    score[3] = math.nan
    assert weighted_auc(score, label, torch.ones(2, 30)).isnan().tolist() == [True, True]
    assert math.isnan(auc_standard_error(score, label))


@pytest.mark.parametrize("tied", [False, True])
def test_standard_error_is_that_of_the_structural_components(tied: bool) -> None:
    score, label = (values.double().numpy() for values in rows(150, seed=7, tied=tied))
    positive, negative = score[label == 1], score[label == 0]
    difference = positive[:, None] - negative[None, :]
    wins = (difference > 0) + 0.5 * (difference == 0)
    variance = wins.mean(1).var(ddof=1) / len(positive) + wins.mean(0).var(ddof=1) / len(negative)
    measured = auc_standard_error(torch.from_numpy(score), torch.from_numpy(label))
    assert measured == pytest.approx(math.sqrt(variance), rel=1e-12)


def test_standard_error_is_the_spread_of_simulated_aucs() -> None:
    sets = [rows(400, seed=seed) for seed in range(2000)]
    spread = np.std([weighted_auc(score, label, torch.ones(1, 400)).item() for score, label in sets])
    assert np.mean([auc_standard_error(score, label) for score, label in sets]) == pytest.approx(spread, rel=0.06)


@pytest.mark.parametrize("positives", [0, 1, 9, 10])
def test_standard_error_needs_two_rows_of_each_class(positives: int) -> None:
    label = (torch.arange(10) < positives).float()
    assert math.isnan(auc_standard_error(torch.arange(10.0), label))


def test_scores_and_labels_of_other_rows_are_refused() -> None:
    with pytest.raises(ValueError, match=r"score has shape \(4,\) and label \(5,\)"):
        weighted_auc(torch.zeros(4), torch.zeros(5), torch.ones(1, 4))
    with pytest.raises(ValueError, match=r"score has shape \(1, 4\)"):
        auc_standard_error(torch.zeros(1, 4), torch.zeros(1, 4))
