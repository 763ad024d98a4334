from collections import Counter

import pytest
import torch
from torch import Tensor

from datamodules import InBatchNegatives, Negatives, PopularityNegatives, TopNBatch, UniformNegatives, UserItems
from datamodules.implicit.item_distributions import PopularItems
from datamodules.implicit.replacement_kernel import replacements
from datamodules.implicit.shared_negatives import vectorised_replacements
from tests.datamodules.implicit.feedback_helpers import random_items, sets_of

SHARED = [UniformNegatives(8), PopularityNegatives(8), InBatchNegatives(), UniformNegatives(1)]
OWN = [UniformNegatives(8, shared=False), PopularityNegatives(8, shared=False, log_q=True)]


def drawn(negatives: Negatives, items: UserItems, seed: int = 0, size: int = 40) -> TopNBatch:
    generator = torch.Generator().manual_seed(seed)
    row = torch.randint(len(items.user), (size,), generator=generator)
    return negatives.draw(items.user[row], items.item[row], items, generator)


def of_rows(batch: TopNBatch) -> Tensor:
    """Return the negatives that every row uses, [n, negatives]."""
    negative = batch.negative.expand(len(batch.user), -1).clone()
    row, place, other = batch.replaced
    negative[row, place] = negative[row, other]
    return negative


@pytest.mark.parametrize("negatives", [*SHARED, *OWN], ids=lambda each: type(each).__name__)
def test_no_negative_is_an_item_of_the_user(negatives: Negatives) -> None:
    items = random_items()
    own = sets_of(items)
    for seed in range(20):
        batch = drawn(negatives, items, seed)
        assert len(batch.user) == len(batch.item) > 0
        for user, row in zip(batch.user.tolist(), of_rows(batch).tolist(), strict=True):
            assert not own[user] & set(row)


@pytest.mark.parametrize("negatives", SHARED, ids=lambda each: type(each).__name__)
def test_only_negatives_that_the_user_has_are_replaced(negatives: Negatives) -> None:
    items = random_items()
    batch = drawn(negatives, items)
    expected = {
        (row, place)
        for row, user in enumerate(batch.user.tolist())
        for place, item in enumerate(batch.negative.tolist())
        if item in sets_of(items)[user]
    }
    row, place, _ = batch.replaced
    assert Counter(zip(row.tolist(), place.tolist(), strict=True)) == dict.fromkeys(expected, 1)


@pytest.mark.parametrize(("size", "count"), [(240, 8), (240, 300), (2000, 40), (10, 8)])
def test_the_kernel_replaces_as_tensors_do(size: int, count: int) -> None:
    items = random_items(size=size)
    generator = torch.Generator().manual_seed(0)
    user = torch.randint(20, (50,), generator=generator)
    negative = torch.randint(30, (count,), generator=generator)
    left, replaced = vectorised_replacements(user, negative, items)
    kernel_left, kernel_replaced = replacements(user, negative, items)
    assert kernel_left.tolist() == left.tolist()
    # The kernel leaves out what is replaced in rows that are left out themselves.
    columns = {tuple(column) for column in replaced.T.tolist() if column[0] in set(left.tolist())}
    assert {tuple(column) for column in kernel_replaced.T.tolist()} == columns


@pytest.mark.parametrize("shared", [True, False])
def test_items_outside_are_equally_likely(shared: bool) -> None:
    items = random_items(num_users=3, num_items=10, size=12)
    counts: Counter[tuple[int, int]] = Counter()
    for seed in range(2000):
        batch = drawn(UniformNegatives(4, shared=shared), items, seed, size=3)
        counts.update((u, i) for u, row in zip(batch.user.tolist(), of_rows(batch).tolist(), strict=True) for i in row)
    for user, own in sets_of(items).items():
        of_user = [counts[user, item] for item in set(range(10)) - own]
        assert [count / sum(of_user) for count in of_user] == pytest.approx([1 / len(of_user)] * len(of_user), rel=0.2)


def test_popular_items_outside_are_drawn_by_their_weight() -> None:
    items = random_items()
    popular = PopularItems(items, 0.75)
    weight = torch.bincount(items.item, minlength=30).double() ** 0.75
    uniform = (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000
    for user in range(20):
        outside = weight.clone()
        outside[list(sets_of(items)[user])] = 0
        share = torch.bincount(popular.draw_outside(torch.tensor([user]), uniform[None])[0], minlength=30) / 20_000
        torch.testing.assert_close(share.double(), outside / outside.sum(), atol=1e-4, rtol=0)


def test_shared_popular_items_are_drawn_by_their_weight_and_say_so() -> None:
    items = random_items()
    weight = torch.bincount(items.item, minlength=30).double() ** 0.5
    batch = drawn(PopularityNegatives(50_000, 0.5, log_q=True), items)
    share = torch.bincount(batch.negative, minlength=30) / 50_000
    torch.testing.assert_close(share.double(), weight / weight.sum(), atol=0.006, rtol=0)
    expected = (weight / weight.sum()).log()[batch.negative]
    torch.testing.assert_close(batch.log_q.double(), expected, atol=1e-5, rtol=0)


def test_negatives_in_the_batch_are_its_items_and_corrected_by_their_popularity() -> None:
    items = random_items()
    batch = drawn(InBatchNegatives(), items)
    assert batch.negative.tolist() == batch.item.tolist()
    expected = (items.transposed.count[batch.item] / len(items.item)).log()
    torch.testing.assert_close(batch.log_q, expected)
    assert drawn(InBatchNegatives(log_q=False), items).log_q.shape == (0,)


def test_the_seed_alone_decides() -> None:
    items = random_items()
    for negatives in (*SHARED, *OWN):
        first, same, other = (drawn(negatives, items, seed) for seed in (1, 1, 2))
        assert all(torch.equal(a, b) for a, b in zip(first, same, strict=True))
        assert not torch.equal(first.negative, other.negative)


def test_rows_whose_user_has_all_negatives_are_left_out() -> None:
    user, item = torch.tensor([0, 0, 0, 1]), torch.tensor([0, 1, 2, 0])
    items = UserItems.of(user, item, 2, 4)
    batch = InBatchNegatives().draw(user, item, items, torch.Generator().manual_seed(0))
    assert batch.user.tolist() == [1]
    assert sets_of(items)[0] == set(batch.negative.tolist())
    assert set(of_rows(batch)[0].tolist()) <= {1, 2}


@pytest.mark.parametrize("negatives", [InBatchNegatives(), UniformNegatives(1)])
def test_where_no_row_is_left_each_has_its_own(negatives: Negatives) -> None:
    items = UserItems.of(torch.tensor([0, 0, 1]), torch.tensor([0, 1, 2]), 2, 3)
    user, item = torch.tensor([0]), torch.tensor([0])
    for seed in range(10):
        batch = negatives.draw(user, item, items, torch.Generator().manual_seed(seed))
        assert of_rows(batch).tolist() == [[2]]
        assert batch.log_q.shape in ((0,), batch.negative.shape)


@pytest.mark.parametrize("cls", [UniformNegatives, PopularityNegatives])
def test_no_negatives_are_refused(cls: type[UniformNegatives]) -> None:
    with pytest.raises(ValueError, match="with 0 negatives a row leaves nothing to learn"):
        cls(0)


def test_a_negative_power_is_refused() -> None:
    with pytest.raises(ValueError, match=r"the power -0\.5 of popularity"):
        PopularityNegatives(power=-0.5)
