"""Synthetic interactions that are as unequally frequent as real ones, and samples of them."""

import pytest
import torch

from benchmarks.common.popular_interactions import GivenInteractions, PopularInteractions, sampled
from datamodules import SyntheticInteractions
from datamodules.batches import Batch

SIZE = {"num_users": 200, "num_items": 150, "num_interactions": 4000}


def rows_of(data: SyntheticInteractions) -> Batch:
    data.setup()
    return Batch(*(torch.cat([getattr(part, name) for part in data.rows.values()]) for name in Batch._fields))


def unevenness(column: torch.Tensor) -> float:
    """Return the mean number of rows of a user or item over the median."""
    counts = torch.unique(column, return_counts=True)[1].double()
    return float(counts.mean() / counts.median())


def pairs(rows: Batch) -> set[tuple[int, int]]:
    return {*zip(rows.user.tolist(), rows.item.tolist(), strict=True)}


def test_popularity_is_uneven_and_pairs_are_distinct() -> None:
    popular, uniform = rows_of(PopularInteractions(**SIZE)), rows_of(SyntheticInteractions(**SIZE))
    assert len(popular.user) == SIZE["num_interactions"]
    known = (popular.user > 0) & (popular.item > 0)
    assert len(pairs(Batch(*(column[known] for column in popular)))) == int(known.sum())
    for name in ("user", "item"):
        assert unevenness(getattr(popular, name)) > 1.2 > 1.1 > unevenness(getattr(uniform, name))


def test_more_rows_than_the_popular_pairs_alone_are_found() -> None:
    data = PopularInteractions(num_users=20, num_items=10, num_interactions=190)
    assert len(rows_of(data).user) == 190


@pytest.fixture
def rows() -> Batch:
    user = torch.arange(1, 41).repeat_interleave(torch.arange(1, 41))
    return Batch(user, user % 7 + 1, torch.arange(len(user)).float())


def test_a_sample_of_users_has_all_their_rows(rows: Batch) -> None:
    sample = sampled(rows, 0.25, "users", seed=1)
    whole = torch.bincount(rows.user)
    original = rows.user[sample.label.long()]
    assert len(original.unique()) == 10
    assert len(original) == int(whole[original.unique()].sum())


def test_a_sample_of_rows_has_as_many_as_asked_for(rows: Batch) -> None:
    sample = sampled(rows, 0.25, "rows", seed=1)
    assert len(sample.user) == round(0.25 * len(rows.user))
    assert not torch.equal(sample.label, sampled(rows, 0.25, "rows", seed=2).label)


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_users_and_items_of_a_sample_are_numbered_from_1(rows: Batch, share: float) -> None:
    sample = sampled(rows, share, "users", seed=3)
    for name in ("user", "item"):
        before, after = getattr(rows, name)[sample.label.long()], getattr(sample, name)
        assert after.unique().tolist() == list(range(1, len(after.unique()) + 1))
        assert len({*zip(before.tolist(), after.tolist(), strict=True)}) == len(after.unique())


def test_given_rows_keep_their_numbers_of_users_when_some_are_held_out(rows: Batch) -> None:
    data = GivenInteractions(rows._replace(label=(rows.label % 2)), batch_size=8, seed=0)
    held = data.hold_out(0.9, seed=1)
    assert (held.num_users, held.num_items) == (41, 8)
    assert len(held.rows["train"].user) == round(0.1 * len(rows.user))
