from collections import Counter

import pytest
import torch

from datamodules.batches import FeedbackRows
from datamodules.implicit.splits import by_time, hold_out_of_each, last_of_each, ratio_of_each


def rows_of(counts: list[int]) -> FeedbackRows:
    user = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    item = torch.arange(len(user))
    order = torch.randperm(len(user), generator=torch.Generator().manual_seed(1))
    return FeedbackRows(user[order], item[order])


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_the_published_number_of_each_users_rows_is_held_out(share: float) -> None:
    counts = [1, 2, 9, 10, 19, 20, 30, 70]
    rows = rows_of(counts)
    kept, held_out = hold_out_of_each(rows, share, seed=0)
    size = Counter(held_out.user.tolist())
    assert [size[user] for user in range(8)] == [0, *(max(int(share * count), 1) for count in counts[1:])]
    both = [
        *zip(*(column.tolist() for column in kept), strict=True),
        *zip(*(c.tolist() for c in held_out), strict=True),
    ]
    assert sorted(both) == sorted(zip(*(column.tolist() for column in rows), strict=True))


def test_every_row_of_a_user_may_be_held_out_and_the_seed_decides() -> None:
    rows = FeedbackRows(torch.zeros(5, dtype=torch.long), torch.arange(5))
    held_out = [hold_out_of_each(rows, 0.1, seed)[1].item.item() for seed in range(500)]
    assert [Counter(held_out)[item] / 500 for item in range(5)] == pytest.approx([0.2] * 5, abs=0.06)
    assert held_out == [hold_out_of_each(rows, 0.1, seed)[1].item.item() for seed in range(500)]


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1])
def test_a_share_of_none_or_all_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match=f"a share of {share} of each user's rows cannot be held out"):
        hold_out_of_each(rows_of([3]), share, seed=0)


def test_nothing_can_be_held_out_of_single_rows() -> None:
    with pytest.raises(ValueError, match="no user has two training rows"):
        hold_out_of_each(rows_of([1, 1]), 0.1, seed=0)


def test_ratios_hold_for_every_user() -> None:
    user = rows_of([1, 2, 10, 20]).user
    part = ratio_of_each(user, (0.8, 0.1, 0.1), seed=0)
    sizes = [torch.bincount(part[user == each], minlength=3).tolist() for each in range(4)]
    assert sizes == [[1, 0, 0], [2, 0, 0], [8, 1, 1], [16, 2, 2]]
    assert not torch.equal(part, ratio_of_each(user, (0.8, 0.1, 0.1), seed=1))


def test_without_a_seed_a_users_last_rows_are_the_held_out_ones() -> None:
    user = torch.tensor([0, 1] * 10)
    part = ratio_of_each(user, (0.8, 0.1, 0.1), seed=None)
    assert part.tolist() == [0] * 16 + [1] * 2 + [2] * 2


def test_the_last_row_of_users_with_three_is_left_out_for_the_test() -> None:
    user = torch.tensor([0, 1, 0, 2, 0, 1, 2, 2, 2])
    assert last_of_each(user).tolist() == [0, 0, 1, 0, 2, 0, 0, 1, 2]


def test_time_divides_all_rows() -> None:
    assert by_time(10, (0.6, 0.2, 0.2)).tolist() == [0] * 6 + [1] * 2 + [2] * 2


def test_ratios_that_are_none_are_refused() -> None:
    for divide in (lambda: ratio_of_each(torch.tensor([0]), (0.5, 0.1, 0.1), 0), lambda: by_time(3, (1, 0, 0))):
        with pytest.raises(ValueError, match="ratios must be three positive numbers"):
            divide()
