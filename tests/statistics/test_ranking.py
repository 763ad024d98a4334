import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from lightning_modules.statistics import ranking
from lightning_modules.statistics.ranking import LatestRanks, auc, auc_of_each, dense_ranks, grouped_auc

rows = st.lists(
    st.tuples(st.integers(-3, 3), st.booleans(), st.integers(0, 4)),
    min_size=1,
    max_size=40,
)


def by_pairs(score: np.ndarray, positive: np.ndarray) -> float:
    difference = score[positive][:, None] - score[~positive][None, :]
    return float(((difference > 0) + 0.5 * (difference == 0)).mean()) if difference.size else float("nan")


@settings(deadline=None, derandomize=True)
@given(rows)
def test_areas_equal_a_count_over_all_pairs(drawn: list[tuple[int, bool, int]]) -> None:
    score, positive, user = (np.array(column) for column in zip(*drawn, strict=True))
    rank = dense_ranks(torch.tensor(score, dtype=torch.float))
    expected = by_pairs(score, positive)
    assert float(auc(rank, torch.tensor(positive))) == pytest.approx(expected, nan_ok=True)
    weight = total = 0.0
    for each in np.unique(user):
        of_user = user == each
        area = by_pairs(score[of_user], positive[of_user])
        if not np.isnan(area):
            weight, total = weight + of_user.sum(), total + of_user.sum() * area
    index = torch.unique(torch.tensor(user), return_inverse=True)[1]
    expected = total / weight if weight else float("nan")
    assert float(grouped_auc(rank, torch.tensor(positive), index)) == pytest.approx(expected, nan_ok=True)


@settings(deadline=None, derandomize=True)
@given(rows, st.integers(1, 5), st.integers(1, 200), st.booleans())
def test_areas_of_many_models_are_those_of_each(
    drawn: list[tuple[int, bool, int]], models: int, cells: int, tied: bool
) -> None:
    positive = torch.tensor([row[1] for row in drawn])
    scores = torch.rand(models, len(drawn), generator=torch.Generator().manual_seed(models))
    scores = (scores * 3).round() if tied else scores
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, "_MOST_CELLS", cells)
        found = auc_of_each(scores, positive)
    expected = torch.stack([auc(dense_ranks(score), positive) for score in scores])
    assert torch.equal(found.nan_to_num(-1.0), expected.nan_to_num(-1.0))


def test_ranks_are_dense_and_shared_by_ties() -> None:
    assert dense_ranks(torch.tensor([0.5, -1.0, 0.5, 3.0])).tolist() == [1, 0, 1, 2]
    assert dense_ranks(torch.tensor([7.0])).tolist() == [0]


def test_latest_ranks_are_those_of_the_scores_whatever_was_asked_for_before() -> None:
    ranks, score = LatestRanks(), torch.tensor([0.5, -1.0, 0.5, 3.0])
    assert ranks.of(score).tolist() == ranks.of(score.clone()).tolist() == [1, 0, 1, 2]
    score[1] = 2.0
    for other in (score, score.double(), score[:2], torch.tensor([torch.nan, 0.0])):
        assert torch.equal(ranks.of(other), dense_ranks(other))


def test_a_large_area_does_not_lose_single_pairs() -> None:
    generator = torch.Generator().manual_seed(0)
    score = torch.randn(50_000, generator=generator)
    positive = torch.rand(50_000, generator=generator) < torch.sigmoid(score)
    user = torch.randint(500, (50_000,), generator=generator)
    rank = dense_ranks(score)
    assert float(auc(rank, positive)) == pytest.approx(roc_auc_score(positive, score), abs=1e-6)
    table = pd.DataFrame({"y": positive.numpy(), "z": score.numpy(), "u": user.numpy()})
    areas = table.groupby("u").apply(lambda part: roc_auc_score(part.y, part.z))
    expected = np.average(areas, weights=table.groupby("u").size())
    assert float(grouped_auc(rank, positive, user)) == pytest.approx(expected, abs=1e-6)
