"""Losses of models of several tasks are compared by the mean of the tasks' AUCs, beside that of each."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from lightning_modules.compare.criteria import AreaUnderCurve
from lightning_modules.compare.model_criteria import MeanOverTasks, criterion_of
from lightning_modules.compare.records import ComparisonRecords
from lightning_modules.compare.resampling import Resampled, resample
from lightning_modules.compare.results import loss_results
from lightning_modules.compare.tables import cells, header, numbers, part_cells, part_header
from lightning_modules.compare.training import Measured
from lightning_modules.multitask import SharedBottom
from lightning_modules.recommenders import BiasedMF
from lightning_modules.statistics.bootstrap import Resampling
from lightning_modules.statistics.significance import holm
from lightning_modules.training.predictions import Scores
from tests.compare.compare_helpers import FAST, compared, runs_of, trained

TASKS = ("click", "buy")
MEAN = MeanOverTasks(TASKS)
TITLES = ["BCE", "(label - pred)**2"]
ROWS, USERS, RESAMPLES = 240, 40, 200


def drawn_scores(noise_seed: int) -> Scores:
    """Return rows of two tasks, whose labels the logits know more or less."""
    split, noise = torch.Generator().manual_seed(4), torch.Generator().manual_seed(noise_seed)
    label = (torch.rand(ROWS, 2, generator=split) < 0.5).float()
    user = torch.randint(USERS, (ROWS,), generator=split)
    return Scores(2 * label - 1 + 1.5 * torch.randn(ROWS, 2, generator=noise), label, user)


def areas(score: Tensor, label: Tensor) -> list[float]:
    """Return the AUC of every task."""
    return [float(roc_auc_score(label[:, task], score[:, task])) for task in range(2)]


@pytest.fixture
def records(tmp_path: Path) -> ComparisonRecords:
    """Two losses with two seeds each, of which nothing but the scores counts."""
    records = ComparisonRecords(tmp_path, MEAN)
    for number, title in enumerate(TITLES):
        for seed in range(2):
            scores = drawn_scores(10 * number + seed)
            metrics = {f"test/auc/{task}": area for task, area in zip(TASKS, areas(*scores[:2]), strict=True)}
            measured = Measured({**metrics, "test/auc": sum(metrics.values()) / 2}, scores, scores)
            records.add_result(title, seed, FAST, trained(0.7), measured)
    return records


@pytest.fixture
def resampled(records: ComparisonRecords) -> Resampled:
    options: dict[str, Any] = {"by_user": True, "resamples": RESAMPLES, "confidence": 0.95, "seed": 1}
    return resample(records, MEAN, TITLES, range(2), **options)


def test_rows_of_users_are_resampled_for_all_tasks_at_once(resampled: Resampled) -> None:
    weights = torch.cat([*Resampling(drawn_scores(0).user, RESAMPLES, torch.Generator().manual_seed(1))])
    for number, title in enumerate(TITLES):
        for seed in range(2):
            score, label, _ = drawn_scores(10 * number + seed)
            for draw in (0, 7, RESAMPLES - 1):
                rows = torch.arange(ROWS).repeat_interleave(weights[draw].long())
                expected = areas(score[rows], label[rows])
                for task, area in zip(TASKS, expected, strict=True):
                    assert float(resampled.parts[f"auc_{task}"].values[title][draw, seed]) == pytest.approx(area)
                assert float(resampled.values[title][draw, seed]) == pytest.approx(sum(expected) / 2)
            whole = areas(score, label)
            assert float(resampled.observed[title][seed]) == pytest.approx(sum(whole) / 2)
            assert float(resampled.parts["auc_buy"].observed[title][seed]) == pytest.approx(whole[1])


def test_a_difference_is_of_the_mean_and_of_each_task(resampled: Resampled) -> None:
    whole = resampled.difference(TITLES[1], "BCE")
    of_tasks = [resampled.parts[f"auc_{task}"].difference(TITLES[1], "BCE") for task in TASKS]
    assert whole.estimate == pytest.approx(sum(each.estimate for each in of_tasks) / 2)
    assert all(each.low < each.estimate < each.high for each in (whole, *of_tasks))


def test_one_task_can_be_what_losses_are_compared_by(records: ComparisonRecords, resampled: Resampled) -> None:
    options: dict[str, Any] = {"by_user": True, "resamples": RESAMPLES, "confidence": 0.95, "seed": 1}
    alone = resample(records, MeanOverTasks(TASKS, "buy"), TITLES, range(2), **options)
    assert torch.equal(alone.values["BCE"], resampled.parts["auc_buy"].values["BCE"])
    assert torch.equal(alone.parts["auc_click"].values["BCE"], resampled.parts["auc_click"].values["BCE"])


@pytest.mark.parametrize("task", [None, "buy"])
def test_the_error_of_one_model_is_that_of_a_bootstrap_over_users(task: str | None) -> None:
    criterion, scores = MeanOverTasks(TASKS, task), drawn_scores(3)
    generator = torch.Generator().manual_seed(0)
    options: dict[str, Any] = {"resamples": 2000, "generator": generator, "progress": lambda done: None}
    (values,) = criterion.bootstrap([scores.score[None]], scores.label, scores.user, **options)
    assert criterion.standard_error(scores) == pytest.approx(float(criterion.combined(values).std()), rel=0.15)
    unknown = scores._replace(score=torch.full_like(scores.score, torch.nan))
    assert criterion.standard_error(unknown) != criterion.standard_error(unknown)


def test_independent_rows_of_one_task_have_the_error_of_its_auc() -> None:
    scores = drawn_scores(3)._replace(user=torch.arange(ROWS))
    alone = Scores(scores.score[:, 0], scores.label[:, 0], scores.user)
    expected = AreaUnderCurve().standard_error(alone)
    assert MeanOverTasks(TASKS, "click").standard_error(scores) == pytest.approx(expected, rel=1e-5)


def test_the_report_has_a_row_for_every_loss_and_task(resampled: Resampled) -> None:
    columns = {f"test_auc_{task}": [0.7, 0.72] for task in TASKS}
    runs = {title: runs_of([0.7, 0.72], **columns) for title in TITLES}
    losses = [compared(title) for title in TITLES]
    results = loss_results(losses, dict.fromkeys(TITLES, FAST), runs, dict.fromkeys(TITLES, True), MEAN, resampled)
    assert header(results)[1:3] == ["validation mean AUC ± sd (se)", "test mean AUC ± sd (se)"]
    rows = part_cells(results)
    assert [row[:2] for row in rows] == [[title, f"AUC {task}"] for task in TASKS for title in TITLES]
    assert {len(row) for row in rows} == {len(part_header())}
    assert rows[0][3:] == ["-", "-", "-"]
    of_buy = resampled.parts["auc_buy"].difference(TITLES[1], "BCE")
    assert rows[3][3] == f"{of_buy.estimate:+.4f}"
    assert rows[3][5] == f"{holm([of_buy.p_value])[0]:.2g}"
    table = numbers(results)
    assert table["auc_buy_difference"].iloc[1] == of_buy.estimate
    assert table["test_auc_click"].iloc[0] == pytest.approx(0.71)
    single = [dataclasses.replace(each, criterion=AreaUnderCurve(), parts={}) for each in results]
    assert part_cells(single) == []
    assert len(cells(results)[0]) == len(header(results))


def test_the_model_and_the_monitored_metric_say_what_counts() -> None:
    model = SharedBottom([3], 1, TASKS, embedding_dim=1, bottom_dims=[1], tower_dims=[1])
    assert criterion_of(model, "val/auc").metric == "auc"
    assert criterion_of(model, "val/log_loss").title == "mean AUC"
    chosen = criterion_of(model, "val/auc/buy")
    assert (chosen.metric, chosen.title, chosen.beside) == ("auc_buy", "AUC buy", "log_loss_buy")
    assert [*chosen.parts] == ["auc_click", "auc_buy"]
    assert not criterion_of(BiasedMF(3, 3, embedding_dim=1), "val/auc").parts


def test_the_rows_are_told_by_their_positives_in_each_task() -> None:
    label = torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 0.0]])
    assert MEAN.rows(label) == "3 test rows, 2 positive in click, 1 positive in buy"
