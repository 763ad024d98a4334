"""Metrics of recommendations against scikit-learn, torchmetrics and plain counting."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, ndcg_score
from torchmetrics.functional.retrieval import (
    retrieval_hit_rate,
    retrieval_normalized_dcg,
    retrieval_precision,
    retrieval_recall,
    retrieval_reciprocal_rank,
)

from lightning_modules.statistics import top_n
from lightning_modules.statistics.top_n import METRICS, hits, top_items, values_of_users

NOTHING = torch.empty(2, 0, dtype=torch.int64)
USERS, ITEMS = 12, 40


def values(scores: torch.Tensor, relevant: torch.Tensor, cutoffs: list[int], seen: torch.Tensor = NOTHING) -> dict:
    """Return every metric of every user by name and cut-off, from a matrix of what is relevant."""
    pairs = relevant.nonzero().T
    top = top_items(scores.clone(), seen, max(cutoffs))
    found = values_of_users(hits(top, pairs, scores.shape[1]), relevant.sum(dim=1), cutoffs)
    return {(name, k): found[:, m, c] for m, name in enumerate(METRICS) for c, k in enumerate(cutoffs)}


@pytest.fixture
def case() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    relevant = torch.rand(USERS, ITEMS, generator=generator) < 0.15
    relevant[:, 0] = True
    return torch.randn(USERS, ITEMS, generator=generator), relevant


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("recall", retrieval_recall),
        ("precision", retrieval_precision),
        ("hit_rate", retrieval_hit_rate),
        ("mrr", retrieval_reciprocal_rank),
        ("ndcg", retrieval_normalized_dcg),
    ],
)
def test_metrics_are_those_of_torchmetrics(name: str, reference, case) -> None:
    scores, relevant = case
    # It takes no item for found whose score is not positive.
    scores = scores.sigmoid()
    found = values(scores, relevant, [1, 5, 20, ITEMS])
    for k in (1, 5, 20, ITEMS):
        expected = [reference(*each, top_k=k) for each in zip(scores, relevant, strict=True)]
        torch.testing.assert_close(found[name, k], torch.stack(expected).float())


def test_ndcg_and_map_are_those_of_scikit_learn(case) -> None:
    scores, relevant = case
    found = values(scores, relevant, [3, 10, ITEMS])
    for k in (3, 10):
        expected = [ndcg_score(r[None], s[None], k=k) for s, r in zip(scores.numpy(), relevant.numpy(), strict=True)]
        np.testing.assert_allclose(found["ndcg", k], expected, rtol=1e-5)
    precision = [average_precision_score(r, s) for s, r in zip(scores.numpy(), relevant.numpy(), strict=True)]
    np.testing.assert_allclose(found["map", ITEMS], precision, rtol=1e-5)


def by_counting(ranked: list[int], relevant: set[int], k: int) -> dict[str, float]:
    ranked, attainable = ranked[:k], min(k, len(relevant))
    hit = [item in relevant for item in ranked]
    ranks = [rank for rank, is_hit in enumerate(hit, 1) if is_hit]
    return {
        "recall": len(ranks) / len(relevant),
        "precision": len(ranks) / k,
        "hit_rate": float(bool(ranks)),
        "mrr": 1 / ranks[0] if ranks else 0.0,
        "map": sum(sum(hit[:rank]) / rank for rank in ranks) / attainable,
        "ndcg": sum(1 / np.log2(rank + 1) for rank in ranks)
        / sum(1 / np.log2(rank + 1) for rank in range(1, attainable + 1)),
    }


@pytest.mark.parametrize("longest", [0, 100], ids=["topk", "compiled"])
@settings(deadline=None, derandomize=True)
@given(data=st.data())
def test_tied_and_seen_items_are_settled_as_by_a_stable_sort(longest: int, data: st.DataObject) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(top_n, "_LONGEST_COMPILED", longest)
        settled_as_by_a_stable_sort(data)


def settled_as_by_a_stable_sort(data: st.DataObject) -> None:
    num_items = data.draw(st.integers(1, 12))
    cells = st.lists(st.integers(0, 2), min_size=num_items, max_size=num_items)
    rows = data.draw(st.lists(cells, min_size=1, max_size=4))
    k = data.draw(st.integers(1, 14))
    marks = st.lists(st.booleans(), min_size=num_items, max_size=num_items)
    seen, relevant = (torch.tensor([data.draw(marks) for _ in rows]) for _ in range(2))
    scores = torch.tensor(rows, dtype=torch.float)
    top = top_items(scores.clone(), seen.nonzero().T, k)
    found = values(scores, relevant, [k], seen.nonzero().T)
    for user, row in enumerate(rows):
        left = [item for item in range(num_items) if not seen[user, item]]
        ranked = sorted(left, key=lambda item: -row[item])
        length = min(k, len(left))
        assert top.item[user, :length].tolist() == ranked[:length]
        assert top.score[user, :length].tolist() == [row[item] for item in ranked[:length]]
        assert (top.score[user, length:] == -torch.inf).all()
        sought = set(relevant[user].nonzero().flatten().tolist())
        for name in METRICS:
            expected = by_counting(ranked, sought, k)[name] if sought else float("nan")
            assert float(found[name, k][user]) == pytest.approx(expected, rel=1e-5, nan_ok=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("k", [1, 7, 100])
def test_the_best_of_long_catalogues_are_those_of_a_stable_sort(k: int, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(k)
    scores = torch.randn(40, 333, generator=generator, dtype=dtype)
    scores[:20] = scores[:20].round()
    scores[10:30, ::9], scores[15:25, ::50], scores[20:22, :200] = -torch.inf, torch.inf, torch.nan
    expected = scores.sort(dim=1, descending=True, stable=True)
    found = top_items(scores, NOTHING, k)
    assert torch.equal(found.item, expected.indices[:, :k])
    torch.testing.assert_close(found.score, expected.values[:, :k], rtol=0, atol=0, equal_nan=True)


def test_users_without_relevant_items_have_no_value() -> None:
    found = values(torch.randn(3, 9), torch.zeros(3, 9, dtype=torch.bool), [2, 4])
    assert all(each.isnan().all() for each in found.values())


def test_one_list_serves_every_cutoff(case) -> None:
    scores, relevant = case
    together = values(scores, relevant, [20, 3])
    for k in (3, 20):
        for (name, _), alone in values(scores, relevant, [k]).items():
            torch.testing.assert_close(together[name, k], alone)
