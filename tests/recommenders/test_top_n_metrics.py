import numpy as np
import pytest
import torch

from datamodules import CatalogueBatch
from lightning_modules.recommenders import TopNMetrics
from lightning_modules.statistics.standard_errors import components_of, mean_components, standard_error

USERS, ITEMS = 9, 30


def block(user: torch.Tensor, relevant: torch.Tensor, seen: torch.Tensor | None = None) -> CatalogueBatch:
    nothing = torch.zeros_like(relevant)
    pairs = [(nothing if each is None else each).nonzero().T for each in (seen, relevant)]
    return CatalogueBatch(user, *pairs)


@pytest.fixture
def case() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    scores = torch.randn(USERS, ITEMS, generator=generator)
    seen, relevant = (torch.rand(USERS, ITEMS, generator=generator) < share for share in (0.2, 0.1))
    relevant = relevant & ~seen
    relevant[3] = False
    relevant[0, 0], seen[0, 0] = True, False
    return scores, seen, relevant


def measured(case: tuple[torch.Tensor, ...], block_size: int, cutoffs: tuple[int, ...] = (2, 5)) -> TopNMetrics:
    metrics = TopNMetrics(ITEMS, cutoffs)
    scores, seen, relevant = case
    for user in torch.randperm(USERS, generator=torch.Generator().manual_seed(2)).split(block_size):
        metrics.update(scores[user].clone(), block(user, relevant[user], seen[user]))
    return metrics


def test_blocks_of_users_make_no_difference(case) -> None:
    whole, parts = (measured(case, size) for size in (USERS, 2))
    for name, value in whole.compute().items():
        torch.testing.assert_close(parts.compute()[name], value)


def test_means_are_over_users_with_relevant_items(case) -> None:
    metrics = measured(case, 4)
    scores, seen, relevant = case
    top = scores.masked_fill(seen, -torch.inf).topk(5).indices
    found = torch.zeros(USERS, ITEMS, dtype=torch.bool).scatter_(1, top, True)
    recalls = [float((f & r).sum() / r.sum()) for f, r in zip(found, relevant, strict=True) if r.any()]
    assert len(recalls) < USERS
    assert float(metrics.compute()["recall@5"]) == pytest.approx(np.mean(recalls))


def test_users_left_out_are_said_once(case, caplog: pytest.LogCaptureFixture) -> None:
    metrics = measured(case, 4)
    measured_users = int(case[2].any(dim=1).sum())
    with caplog.at_level("INFO"):
        metrics.compute()
        metrics._computed = None
        metrics.compute()
    said = [record.getMessage() for record in caplog.records if "left out" in record.getMessage()]
    assert len(said) == 1
    assert f"over {measured_users} users; {USERS - measured_users} more" in said[0]


def test_components_of_means_are_those_of_their_users(case) -> None:
    metrics = measured(case, block_size=3)
    value = torch.cat(metrics.value)[:, 1, 1]
    value = value[~value.isnan()].double()
    components = components_of(metrics, "ndcg@5")
    assert components is not None
    assert standard_error(components) == pytest.approx(float(value.std() / len(value) ** 0.5), rel=1e-5)
    # The error of a difference is that of the users' differences.
    other = mean_components(value.flip(0)).float()
    paired = float((value - value.flip(0)).std() / len(value) ** 0.5)
    assert standard_error(components, other) == pytest.approx(paired, rel=1e-5)
    assert components_of(metrics, "coverage@5") is None
    assert components_of(metrics, "ndcg@4") is None


def test_coverage_and_popularity_are_those_of_the_recommended_items(case) -> None:
    metrics = measured(case, 4)
    popularity = torch.arange(1, ITEMS + 1)
    metrics.training_users = popularity
    scores, seen, _ = case
    top = [np.argsort(-row.numpy(), kind="stable")[:5] for row in scores.masked_fill(seen, -torch.inf)]
    found = metrics.compute()
    assert float(found["coverage@5"]) == pytest.approx(len(set(np.concatenate(top).tolist())) / ITEMS)
    rows = np.repeat(popularity.numpy(), popularity.numpy())
    expected = popularity.numpy()[np.concatenate(top)].mean() / rows.mean()
    assert float(found["popularity@5"]) == pytest.approx(expected)


def test_popularity_is_left_out_where_the_data_does_not_tell(case) -> None:
    assert "popularity@5" not in measured(case, 4).compute()


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_scores_that_are_not_finite_give_nan(case, bad: float) -> None:
    scores, seen, relevant = case
    scores = scores.clone()
    scores[4, 7], seen[4, 7] = bad, False
    found = measured((scores, seen, relevant), 4).compute()
    assert all(value.isnan() for value in found.values())


def test_items_that_are_seen_are_not_recommended_where_nothing_else_is_left() -> None:
    metrics = TopNMetrics(3, (2,))
    seen = torch.tensor([[True, True, False], [True, True, True]])
    relevant = torch.tensor([[False, True, True], [True, False, False]])
    metrics.update(torch.tensor([[3.0, 2.0, 1.0]] * 2), block(torch.arange(2), relevant, seen))
    assert float(metrics.compute()["recall@2"]) == 0.25
    assert float(metrics.compute()["coverage@2"]) == pytest.approx(1 / 3)


def test_a_reset_forgets_everything(case) -> None:
    metrics = measured(case, 4)
    before = metrics.compute()
    metrics.reset()
    scores, seen, relevant = case
    metrics.update(scores.clone(), block(torch.arange(USERS), relevant, seen))
    for name, value in metrics.compute().items():
        torch.testing.assert_close(value, before[name])


@pytest.mark.parametrize("cutoffs", [(), (5, 0)])
def test_cutoffs_that_are_none_are_refused(cutoffs: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="cut-offs of at least 1"):
        TopNMetrics(ITEMS, cutoffs)
