import math
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn import metrics as reference
from torch import Tensor, distributed
from torch import multiprocessing as mp

from lightning_modules.multitask.metrics import NAMES, MultiTaskMetrics
from tests.far_logits import eighths, labels_of, moved

TASKS = ("click", "long_view")


class Rows(NamedTuple):
    logit: Tensor
    label: Tensor
    session: Tensor
    user: Tensor

    def part(self, part: slice) -> "Rows":
        return Rows(*(column[part] for column in self))


def rows(n: int = 500) -> Rows:
    generator = torch.Generator().manual_seed(0)
    logit = torch.randn(n, 2, generator=generator).mul(30).round() / 10  # rounded, so that there are ties
    label = (torch.rand(n, 2, generator=generator) < torch.sigmoid(logit / 2 - torch.tensor([0.0, 1.0]))).float()
    session = torch.randint(n // 4, (n,), generator=generator)
    return Rows(logit, label, session, user=session % 20 * 1_000_003 - 7)


def of_task(table: pd.DataFrame) -> dict[str, float]:
    def area(part: pd.DataFrame) -> float:
        return reference.roc_auc_score(part.y, part.z) if part.y.nunique() == 2 else np.nan

    p = 1 / (1 + np.exp(-table.z))
    log_loss = -np.where(table.y == 1, np.log(p), np.log(1 - p))
    of_users = table.groupby("user").apply(area)
    known = of_users.notna()
    return {
        "auc": reference.roc_auc_score(table.y, table.z),
        "log_loss": reference.log_loss(table.y, p),
        "session_log_loss": pd.Series(log_loss).groupby(table.session.to_numpy()).mean().mean(),
        "calibration": p.sum() / table.y.sum(),
        "grouped_auc": np.average(of_users[known], weights=table.groupby("user").size()[known]),
    }


def expected(data: Rows) -> dict[str, float]:
    values: dict[str, float] = {}
    for index, task in enumerate(TASKS):
        columns = {"z": data.logit[:, index].double(), "y": data.label[:, index]}
        table = pd.DataFrame({**columns, "session": data.session, "user": data.user})
        values |= {f"{name}/{task}": value for name, value in of_task(table).items()}
    return values | {name: (values[f"{name}/click"] + values[f"{name}/long_view"]) / 2 for name in NAMES}


def computed(metrics: MultiTaskMetrics) -> dict[str, float]:
    return {name: float(value) for name, value in metrics.compute().items()}


def test_equals_sklearn_and_pandas_over_several_batches() -> None:
    data = rows()
    metrics = MultiTaskMetrics(TASKS)
    for start in range(0, 500, 130):
        metrics.update(*data.part(slice(start, start + 130)))
    assert computed(metrics) == pytest.approx(expected(data), abs=1e-5)


@moved
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rankings_do_not_depend_on_where_logits_lie(scale: float, shift: float, dtype: torch.dtype) -> None:
    logit = eighths(500, 2)
    home = rows()._replace(logit=logit, label=labels_of(logit))
    metrics = MultiTaskMetrics(TASKS)
    metrics.update(*home._replace(logit=(logit * scale + shift).to(dtype)))
    found, right = computed(metrics), expected(home)
    for name in ("auc", "grouped_auc", "auc/click", "grouped_auc/long_view"):
        assert found[name] == pytest.approx(right[name], abs=1e-6)


def test_metrics_of_two_processes_merge_by_their_own_reduction() -> None:
    data = rows()
    metrics, other = MultiTaskMetrics(TASKS), MultiTaskMetrics(TASKS)
    metrics.update(*data.part(slice(0, 150)))
    other.update(*data.part(slice(150, 500)))
    metrics.merge_state(other)
    assert computed(metrics) == pytest.approx(expected(data), abs=1e-5)


def _compute_part(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    metrics = MultiTaskMetrics(TASKS)
    metrics.update(*rows().part(slice(0, 150) if rank == 0 else slice(150, 500)))
    curve = metrics.calibration_curves(bins=4)["click"]
    torch.save({**metrics.compute(), "rows": curve.rows, "observed": curve.observed}, f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


def test_two_processes_with_unequal_parts_compute_over_all_rows(tmp_path: Path) -> None:
    mp.start_processes(_compute_part, args=(str(tmp_path),), nprocs=2, start_method="fork")
    for rank in (0, 1):
        values = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert values.pop("rows").tolist() == [125] * 4
        assert float(values.pop("observed").mean()) == pytest.approx(float(rows().label[:, 0].mean()))
        assert {name: float(value) for name, value in values.items()} == pytest.approx(expected(rows()), abs=1e-5)


def test_extreme_logits_have_an_exact_log_loss() -> None:
    metrics = MultiTaskMetrics(["click"])
    one = torch.tensor([0, 0])
    metrics.update(torch.tensor([[200.0], [-100.0]]), torch.tensor([[0.0], [1.0]]), one, one)
    assert computed(metrics)["log_loss/click"] == 150.0


def test_a_task_of_one_class_is_nan_with_one_warning_and_leaves_the_others() -> None:
    data = rows()
    data.label[:, 1] = 0
    metrics = MultiTaskMetrics(TASKS)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            metrics.reset()
            metrics.update(*data)
            values = computed(metrics)
    assert [str(w.message) for w in caught if "undefined" in str(w.message)] == [
        "AUC of 'long_view' is undefined and reported as nan: all 500 evaluated rows have label 0. "
        "It compares rows of both classes; evaluate on a split that has both."
    ]
    undefined = {name for name, value in values.items() if math.isnan(value)}
    of_one = {"auc", "grouped_auc", "calibration"}
    assert undefined == of_one | {f"{name}/long_view" for name in of_one}
    assert values["auc/click"] == pytest.approx(expected(rows())["auc/click"], abs=1e-5)


def test_users_of_one_row_have_no_auc_and_say_so_once() -> None:
    data = rows()._replace(user=torch.arange(500))
    metrics = MultiTaskMetrics(TASKS)
    metrics.update(*data)
    with pytest.warns(UserWarning, match="no user has rows of both labels") as caught:
        values = computed(metrics)
    assert len(caught) == 2
    assert math.isnan(values["grouped_auc/click"])
    assert not math.isnan(values["auc"])


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_prediction_that_is_not_finite_makes_its_task_and_the_means_nan(bad: float) -> None:
    data = rows()
    data.logit[7, 1] = bad
    metrics = MultiTaskMetrics(TASKS)
    metrics.update(*data)
    values = computed(metrics)
    undefined = {name for name, value in values.items() if math.isnan(value)}
    assert undefined == set(NAMES) | {f"{name}/long_view" for name in NAMES}


@pytest.mark.parametrize("tasks", [[], ["click", "click"]])
def test_tasks_need_different_names(tasks: list[str]) -> None:
    with pytest.raises(ValueError, match="different names"):
        MultiTaskMetrics(tasks)


def test_columns_that_are_not_the_tasks_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit 3 tasks"):
        MultiTaskMetrics(["a", "b", "c"]).update(*rows())


def test_a_calibration_curve_has_the_quantile_bins_of_pandas() -> None:
    data = rows(400)
    logit = torch.randn(400, 2, generator=torch.Generator().manual_seed(1))  # no ties, which cut differently
    metrics = MultiTaskMetrics(TASKS)
    metrics.update(logit, *data[1:])
    curve = metrics.calibration_curves(bins=10)["long_view"]
    table = pd.DataFrame({"p": torch.sigmoid(logit[:, 1]), "y": data.label[:, 1]})
    by_bin = table.groupby(pd.qcut(table.p, 10, labels=False)).mean()
    assert curve.predicted.numpy() == pytest.approx(by_bin.p.to_numpy(), abs=1e-6)
    assert curve.observed.numpy() == pytest.approx(by_bin.y.to_numpy(), abs=1e-6)
    assert curve.rows.tolist() == [40] * 10
    assert len(metrics.calibration_curves(bins=1000)["click"].rows) == 400
