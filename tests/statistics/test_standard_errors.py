import math
import time

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from torch import Tensor
from torchmetrics import MeanMetric

from lightning_modules.multitask.metrics import MultiTaskMetrics
from lightning_modules.recommenders.metrics import RecommenderMetrics
from lightning_modules.statistics.bootstrap import bootstrap_aucs
from lightning_modules.statistics.ranking import auc, dense_ranks
from lightning_modules.statistics.standard_errors import (
    auc_components,
    components_of,
    in_blocks,
    over_groups,
    seeds_standard_error,
    standard_error,
)

ROWS = st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3), st.booleans()), min_size=4, max_size=40)


def placements(score: Tensor, positive: Tensor) -> tuple[Tensor, Tensor]:
    """Return the share of negatives below every positive, and of positives above every negative, by all pairs."""
    gap = score[positive][:, None] - score[~positive][None, :]
    won = (gap > 0).double() + 0.5 * (gap == 0).double()
    return won.mean(1), won.mean(0)


@settings(deadline=None, derandomize=True)
@given(ROWS)
def test_paired_errors_are_delongs_by_all_pairs(drawn: list[tuple[int, int, bool]]) -> None:
    first, second, label = (torch.tensor(column) for column in zip(*drawn, strict=True))
    positive = label.bool()
    components = [auc_components(dense_ranks(score.float()), positive) for score in (first, second)]
    if min(int(positive.sum()), int((~positive).sum())) < 2:
        assert components[0].isnan().all()
        return
    of_first, of_second = placements(first, positive), placements(second, positive)
    variance = sum(float((a - b).var()) / len(a) for a, b in zip(of_first, of_second, strict=True))
    assert standard_error(*components) == pytest.approx(variance**0.5, abs=1e-9)
    alone = sum(float(each.var()) / len(each) for each in of_first)
    assert standard_error(components[0]) == pytest.approx(alone**0.5, abs=1e-9)


def test_paired_error_is_the_spread_of_differences_over_new_rows() -> None:
    generator = torch.Generator().manual_seed(0)
    label = torch.rand(3000, 200, generator=generator) < 0.3
    common = label + torch.randn(3000, 200, generator=generator)
    scores = [common + 0.3 * torch.randn(3000, 200, generator=generator) for _ in range(2)]
    gaps, errors = [], []
    for first, second, positive in zip(*scores, label, strict=True):
        ranks = [dense_ranks(score) for score in (first, second)]
        gaps.append(auc(ranks[0], positive) - auc(ranks[1], positive))
        errors.append(standard_error(*(auc_components(rank, positive) for rank in ranks)))
    assert float(torch.stack(gaps).std()) == pytest.approx(float(torch.tensor(errors).mean()), rel=0.05)


def fed(rows: int = 60, tasks: int = 2) -> tuple[MultiTaskMetrics, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    logit, label = torch.randn(rows, tasks, generator=generator), torch.rand(rows, tasks, generator=generator) < 0.5
    metrics = MultiTaskMetrics(["click", "buy"][:tasks])
    metrics.update(logit, label.float(), torch.arange(rows) // 3, torch.arange(rows) // 2)
    return metrics, logit, label


def test_metrics_give_the_components_of_their_aucs() -> None:
    metrics, logit, label = fed()
    single = RecommenderMetrics()
    of_users = RecommenderMetrics()
    for part in (slice(0, 20), slice(20, 60)):
        single.update(logit[part, 0], label[part, 0].float())
        of_users.update(logit[part, 0], label[part, 0].float(), torch.arange(60)[part] // 2)
    of_tasks = [auc_components(dense_ranks(logit[:, place]), label[:, place]).float() for place in range(2)]
    # For the mean of 30 users in place of 60 rows.
    correction = math.sqrt(30 / 29 * 59 / 60)
    for found, expected in (
        (components_of(single, "auc"), of_tasks[0]),
        (components_of(of_users, "auc"), correction * of_tasks[0].view(30, 2).sum(1)),
        # Every user has two rows.
        (components_of(metrics, "auc/buy"), correction * of_tasks[1].view(30, 2).sum(1)),
        (components_of(metrics, "auc"), correction * (of_tasks[0] + of_tasks[1]).view(30, 2).mean(1)),
    ):
        assert found is not None
        torch.testing.assert_close(found, expected)


def alike_rows(users: int, rows: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return logits and labels of two tasks, and users whose rows are much alike in both."""
    generator = torch.Generator().manual_seed(5)
    user = torch.arange(users).repeat_interleave(rows)
    own, chance = (torch.randn(users, 2, generator=generator)[user] for _ in range(2))
    logit = own + 0.3 * torch.randn(users * rows, 2, generator=generator)
    label = torch.sigmoid(own + 2 * chance) > torch.rand(users * rows, 2, generator=generator)
    return logit, label, user


def test_the_mean_over_tasks_has_the_error_of_a_bootstrap_over_users() -> None:
    logit, label, user = alike_rows(users=400, rows=6)
    metrics = MultiTaskMetrics(["click", "buy"])
    metrics.update(logit, label.float(), user, user)
    generator = torch.Generator().manual_seed(2)
    areas = []
    for _ in range(300):
        rows = (torch.randint(400, (400, 1), generator=generator) * 6 + torch.arange(6)).flatten()
        areas.append([auc(dense_ranks(logit[rows, task]), label[rows, task]) for task in range(2)])
    spread = float(torch.tensor(areas).mean(1).std())
    found = components_of(metrics, "auc")
    assert standard_error(found) == pytest.approx(spread, rel=0.12)
    # Taken for independent, the rows would seem to tell more than they do.
    parts = torch.stack([auc_components(dense_ranks(logit[:, task]), label[:, task]) for task in range(2)])
    assert standard_error(parts.mean(0)) < 0.7 * spread


def test_groups_of_one_row_leave_the_components() -> None:
    parts = torch.randn(50, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    assert torch.equal(over_groups(parts, torch.arange(50)), parts)


def test_the_correction_is_for_the_number_of_groups() -> None:
    parts = torch.randn(60, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    pairs = over_groups(parts, torch.arange(60) % 2)
    of_pairs = torch.stack([parts[::2].sum(), parts[1::2].sum()])
    torch.testing.assert_close(pairs.square().sum(), 2 * 59 / 60 * of_pairs.square().sum())
    assert over_groups(parts, torch.zeros(60, dtype=torch.int64)).isnan().all()


def test_what_is_no_auc_has_no_error() -> None:
    metrics, logit, _ = fed()
    one_class = RecommenderMetrics()
    one_class.update(logit[:, 0], torch.ones(60))
    assert components_of(metrics, "log_loss/buy") is None
    assert components_of(metrics, "calibration") is None
    assert components_of(metrics, "auc/other") is None
    assert components_of(one_class, "auc") is None
    assert components_of(MeanMetric(), "auc") is None
    assert components_of(None, "auc") is None
    assert standard_error(None) is None
    assert standard_error(torch.ones(3), torch.ones(4)) is None


def test_components_take_about_a_millisecond() -> None:
    generator = torch.Generator().manual_seed(0)
    metrics = RecommenderMetrics()
    metrics.update(torch.randn(8000, generator=generator), (torch.rand(8000, generator=generator) < 0.3).float())
    taken = []
    for _ in range(20):
        start = time.thread_time()
        components_of(metrics, "auc")
        taken.append(time.thread_time() - start)
    assert min(taken) < 0.01


def test_over_rows_and_seeds_they_are_those_of_a_bootstrap() -> None:
    generator = torch.Generator().manual_seed(0)
    label = (torch.rand(600, generator=generator) < 0.5).float()
    taste = 0.5 * torch.randn(600, generator=generator)
    scores = [
        torch.stack([label * skill + taste + torch.randn(600, generator=generator) for _ in range(4)])
        for skill in (1.0, 0.8)
    ]
    aucs = [torch.tensor([roc_auc_score(label, score) for score in each]) for each in scores]
    parts = [torch.stack([auc_components(dense_ranks(score), label.bool()) for score in each]) for each in scores]
    one, other = bootstrap_aucs(scores, label, torch.arange(600), resamples=4000, generator=generator)
    # The covariance of the gaps of two seeds under the same resamples is what the rows add to both of them.
    covariance = torch.cov((one - other).T)
    rows = float(covariance.sum() - covariance.trace()) / 12
    interaction = float(covariance.trace()) / 4 - rows
    between = max(float((aucs[0] - aucs[1]).var()), interaction)
    expected = (max(rows, 0.0) + between / 4) ** 0.5
    assert seeds_standard_error(aucs[0] - aucs[1], parts[0] - parts[1]) == pytest.approx(expected, rel=0.1)


def test_seeds_that_agree_by_chance_leave_the_spread_of_the_rows() -> None:
    noise = torch.randn(4, 40, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    parts = noise[0] + 0.1 * noise[1:]
    found = seeds_standard_error(torch.full((3,), 0.01), parts)
    assert found == pytest.approx(float(parts.mean(0).norm()), rel=1e-9)


def test_blocks_of_rows_spread_as_the_rows_do() -> None:
    parts = torch.randn(100_001, generator=torch.Generator().manual_seed(2))
    blocks = in_blocks(parts, most=1000)
    assert blocks is not None
    assert len(blocks) <= 1000
    assert float(blocks.sum()) == pytest.approx(float(parts.sum()), abs=1e-2)
    assert float(blocks.norm()) == pytest.approx(float(parts.norm()), rel=0.1)
    assert in_blocks(parts, most=100_001) is parts
    assert in_blocks(None) is None
