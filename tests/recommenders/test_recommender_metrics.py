import math
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn import metrics as reference
from torch import Tensor, distributed
from torch import multiprocessing as mp

from lightning_modules.recommenders import RecommenderMetrics
from tests.far_logits import eighths, labels_of, moved


def rows(n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logit = torch.randn(n, generator=generator).mul(30).round() / 10  # rounded, so that there are ties
    label = (torch.rand(n, generator=generator) < torch.sigmoid(logit / 2)).float()
    return logit, label


def by_sklearn(logit: Tensor, label: Tensor, threshold: float) -> dict[str, float]:
    y, p = label.numpy(), torch.sigmoid(logit.double()).numpy()
    positive = p > threshold
    return {
        "auc": reference.roc_auc_score(y, p),
        "log_loss": reference.log_loss(y, p),
        "accuracy": reference.accuracy_score(y, positive),
        "f1": reference.f1_score(y, positive, zero_division=0),
        "precision": reference.precision_score(y, positive, zero_division=0),
        "recall": reference.recall_score(y, positive, zero_division=0),
        "rmse": np.sqrt(np.mean((y - p) ** 2)),
        "mae": np.mean(np.abs(y - p)),
    }


def computed(metrics: RecommenderMetrics) -> dict[str, float]:
    return {name: float(value) for name, value in metrics.compute().items()}


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.999])
def test_equals_sklearn_over_several_batches(threshold: float) -> None:
    logit, label = rows(1000)
    metrics = RecommenderMetrics(threshold)
    for part in torch.arange(1000).split(300):
        metrics.update(logit[part], label[part])
    assert computed(metrics) == pytest.approx(by_sklearn(logit, label, threshold), abs=1e-5)


def test_the_auc_of_many_models_is_that_of_each() -> None:
    logits, label = torch.stack([rows(300, seed)[0] for seed in range(4)]), rows(300)[1]
    logits[2, 7] = torch.inf
    metrics = RecommenderMetrics()
    expected = []
    for logit in logits:
        metrics.reset()
        metrics.update(logit, label)
        expected.append(computed(metrics)["auc"])
    found = metrics.compute_of_each("auc", logits, label)
    assert found is not None
    np.testing.assert_array_equal(found.numpy(), np.float32(expected))
    assert math.isnan(expected[2])
    assert metrics.compute_of_each("rmse", logits, label) is None
    with pytest.warns(UserWarning, match="all 300 evaluated rows have label 1"):
        alike = metrics.compute_of_each("auc", logits, torch.ones(300))
    assert alike is not None
    assert alike.isnan().all()


def test_half_precision_logits_are_taken() -> None:
    logit, label = rows(200)
    metrics = RecommenderMetrics()
    metrics.update(logit.bfloat16(), label)
    assert computed(metrics) == pytest.approx(by_sklearn(logit.bfloat16().float(), label, 0.5), abs=1e-5)


@moved
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_ranking_does_not_depend_on_where_logits_lie(scale: float, shift: float, dtype: torch.dtype) -> None:
    logit = eighths(1000)
    label = labels_of(logit)
    metrics = RecommenderMetrics()
    metrics.update((logit * scale + shift).to(dtype), label)
    assert computed(metrics)["auc"] == pytest.approx(reference.roc_auc_score(label, logit.double()), abs=1e-7)


def test_logits_whose_probabilities_are_all_one_are_ranked() -> None:
    metrics = RecommenderMetrics()
    metrics.update(torch.tensor([20.0, 25.0, 30.0]), torch.tensor([0.0, 0.0, 1.0]))
    assert computed(metrics)["auc"] == 1.0


def test_logits_of_double_precision_are_not_rounded() -> None:
    logit = 40 + torch.tensor([0.0, 1e-9, 2e-9], dtype=torch.float64)
    metrics = RecommenderMetrics()
    metrics.update(logit, torch.tensor([0.0, 1.0, 1.0]))
    assert computed(metrics)["auc"] == 1.0


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_prediction_that_is_not_finite_makes_every_metric_nan(bad: float) -> None:
    logit, label = rows(50)
    logit[7] = bad
    metrics = RecommenderMetrics()
    metrics.update(logit, label)
    assert len(computed(metrics)) == 8
    assert all(np.isnan(value) for value in computed(metrics).values())


def test_one_class_makes_auc_nan_with_one_warning_and_leaves_the_others() -> None:
    logit, _ = rows(50)
    label = torch.zeros(50)
    metrics = RecommenderMetrics()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            metrics.reset()
            metrics.update(logit, label)
            values = computed(metrics)
    assert [str(w.message) for w in caught if "AUC" in str(w.message)] == [
        "AUC is undefined and reported as nan: all 50 evaluated rows have label 0. "
        "It compares rows of both classes; evaluate on a split that has both."
    ]
    assert np.isnan(values["auc"])
    assert values["accuracy"] == pytest.approx(float((logit <= 0).float().mean()))
    assert values["log_loss"] == pytest.approx(float(torch.nn.functional.softplus(logit).mean()), rel=1e-5)


@pytest.mark.parametrize("threshold", [0.0, 1.0, -1.0])
def test_an_impossible_threshold_is_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match="threshold"):
        RecommenderMetrics(threshold)


USERS = torch.arange(100) % 7


def _compute_part(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    logit, label = rows(100)
    part = slice(0, 30) if rank == 0 else slice(30, 100)
    metrics = RecommenderMetrics()
    metrics.update(logit[part], label[part], USERS[part])
    torch.save(metrics.compute(), f"{folder}/{rank}.pt")
    torch.save(metrics.components("auc"), f"{folder}/components_{rank}.pt")
    distributed.destroy_process_group()


def test_two_processes_with_unequal_parts_compute_over_all_rows(tmp_path: Path) -> None:
    mp.start_processes(_compute_part, args=(str(tmp_path),), nprocs=2, start_method="fork")
    expected = by_sklearn(*rows(100), 0.5)
    for rank in (0, 1):
        values = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert {name: float(value) for name, value in values.items()} == pytest.approx(expected, abs=1e-5)
        components = torch.load(tmp_path / f"components_{rank}.pt", weights_only=True)
        assert float(components.norm()) == pytest.approx(float(_whole_components().norm()), rel=1e-6)


def _whole_components() -> torch.Tensor:
    metrics = RecommenderMetrics()
    metrics.update(*rows(100), USERS)
    found = metrics.components("auc")
    assert found is not None
    assert len(found) == 7
    return found
