from collections import Counter

import pytest
import torch

from datamodules import UserItems
from tests.datamodules.implicit.feedback_helpers import random_items, random_pairs, sets_of


def test_pairs_are_held_once_in_the_order_of_users_and_items() -> None:
    user, item = random_pairs()
    items = UserItems.of(user, item, 20, 30)
    expected = sorted(set(zip(user.tolist(), item.tolist(), strict=True)))
    assert list(zip(items.user.tolist(), items.item.tolist(), strict=True)) == expected
    assert items.count.tolist() == [len(sets_of(items)[user]) for user in range(20)]


def test_pairs_of_some_users_are_all_of_theirs() -> None:
    items = random_items()
    users = [3, 0, 19, 3]
    row, item = items.pairs_of(torch.tensor(users))
    expected = [(row, item) for row, user in enumerate(users) for item in sorted(sets_of(items)[user])]
    assert list(zip(row.tolist(), item.tolist(), strict=True)) == expected


def test_contains_tells_every_pair() -> None:
    items = random_items()
    user, item = (each.flatten() for each in torch.meshgrid(torch.arange(20), torch.arange(30), indexing="ij"))
    expected = [i in sets_of(items)[u] for u, i in zip(user.tolist(), item.tolist(), strict=True)]
    assert items.contains(user, item).tolist() == expected


def test_transposing_exchanges_users_and_items() -> None:
    items = random_items()
    pairs = {(user, item) for item, users in sets_of(items.transposed).items() for user in users}
    assert pairs == {(user, item) for user, own in sets_of(items).items() for item in own}


def test_every_item_outside_is_drawn_by_an_equal_part_of_the_numbers() -> None:
    items = random_items()
    for user in range(20):
        outside = set(range(30)) - sets_of(items)[user]
        uniform = (torch.arange(100 * len(outside), dtype=torch.float64) + 0.5) / (100 * len(outside))
        (drawn,) = items.draw_outside(torch.tensor([user]), uniform[None])
        assert Counter(drawn.tolist()) == dict.fromkeys(outside, 100)


def test_a_user_with_all_items_gets_any() -> None:
    items = UserItems.of(torch.zeros(3, dtype=torch.long), torch.arange(3), 2, 3)
    uniform = torch.full((2, 5), 0.9, dtype=torch.float64)
    for draw in (items.draw_outside, items.vectorised_outside):
        of_full, of_empty = draw(torch.tensor([0, 1]), uniform).tolist()
        assert set(of_full) <= {0, 1, 2}
        assert set(of_empty) == {2}


@pytest.mark.parametrize("draws", [1, 3, 40, 700])
@pytest.mark.parametrize("num_items", [1, 30, 257])
def test_the_kernel_draws_as_tensors_do(num_items: int, draws: int) -> None:
    items = random_items(num_users=20, num_items=num_items, size=8 * num_items)
    generator = torch.Generator().manual_seed(0)
    user = torch.randint(20, (50,), generator=generator)
    uniform = torch.rand(50, draws, generator=generator, dtype=torch.float64)
    uniform[:, 0] = torch.tensor([0.0, torch.finfo(torch.float64).eps, 0.5, 0.25, 1 - 2**-53]).repeat(10)
    assert items.draw_outside(user, uniform).tolist() == items.vectorised_outside(user, uniform).tolist()


def test_without_pairs_nothing_is_contained() -> None:
    items = UserItems.of(torch.empty(0, dtype=torch.long), torch.empty(0, dtype=torch.long), 2, 3)
    assert not items.contains(torch.tensor([0, 1]), torch.tensor([0, 2])).any()
    assert [len(each) for each in items.pairs_of(torch.tensor([0, 1]))] == [0, 0]
