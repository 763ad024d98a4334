from collections import Counter, defaultdict

import pytest
import torch

from datamodules import Batch, PairBatch, PairLoader

NUM_ITEMS = 30


def random_rows(seed: int = 0, num_users: int = 12, size: int = 200) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    user = torch.randint(1, num_users + 1, (size,), generator=generator)
    item = torch.randint(1, NUM_ITEMS, (size,), generator=generator)
    label = torch.randint(0, 2, (size,), generator=generator).float()
    # User 1 likes all that it has seen.
    return Batch(user, item, torch.where(user == 1, 1.0, label))


def items_by_user(rows: Batch, label: int) -> dict[int, set[int]]:
    items: dict[int, set[int]] = defaultdict(set)
    for user, item, value in zip(*(column.tolist() for column in rows), strict=True):
        if value == label:
            items[user].add(item)
    return items


def epoch_of(loader: PairLoader, epoch: int = 0) -> PairBatch:
    loader.set_epoch(epoch)
    return PairBatch(*(torch.cat(columns) for columns in zip(*loader, strict=True)))


def test_every_positive_gets_a_negative_of_its_user() -> None:
    rows = random_rows()
    liked, disliked = items_by_user(rows, 1), items_by_user(rows, 0)
    pairs = epoch_of(PairLoader(rows, 16, num_items=NUM_ITEMS, seed=0))
    positives = Counter(zip(rows.user[rows.label == 1].tolist(), rows.item[rows.label == 1].tolist(), strict=True))
    assert Counter(zip(pairs.user.tolist(), pairs.positive_item.tolist(), strict=True)) == positives
    for user, negative in zip(pairs.user.tolist(), pairs.negative_item.tolist(), strict=True):
        if disliked[user] - liked[user]:
            assert negative in disliked[user] - liked[user]
        else:
            assert negative in set(range(1, NUM_ITEMS)) - liked[user]
    assert not disliked[1]
    assert any(disliked[user] & liked[user] for user in disliked)


def test_an_item_that_its_user_took_elsewhere_is_no_negative() -> None:
    user, item = torch.tensor([[1, 1, 1, 1, 2, 2, 2], [4, 4, 4, 7, 3, 3, 5]])
    rows = Batch(user, item, torch.tensor([0.0, 0, 1, 1, 0, 1, 0]))
    loader = PairLoader(rows, 3, num_items=10, seed=0)
    negatives = defaultdict(set)
    for epoch in range(200):
        pairs = epoch_of(loader, epoch)
        for each, negative in zip(pairs.user.tolist(), pairs.negative_item.tolist(), strict=True):
            negatives[each].add(negative)
    assert negatives == {1: {1, 2, 3, 5, 6, 8, 9}, 2: {5}}


def test_disliked_rows_are_drawn_uniformly() -> None:
    rows = Batch(torch.ones(6, dtype=torch.long), torch.tensor([1, 2, 3, 4, 4, 5]), torch.tensor([1.0, 0, 0, 0, 0, 1]))
    loader = PairLoader(rows, 2, num_items=10, seed=0)
    counts = Counter(item for epoch in range(2000) for item in epoch_of(loader, epoch).negative_item.tolist())
    assert set(counts) == {2, 3, 4}
    assert [counts[item] / 4000 for item in (2, 3, 4)] == pytest.approx([0.25, 0.25, 0.5], abs=0.04)


def test_untaken_items_are_drawn_uniformly() -> None:
    liked = torch.tensor([1, 2, 5, 9, 9])
    rows = Batch(torch.full((5,), 3), liked, torch.ones(5))
    loader = PairLoader(rows, 5, num_items=10, seed=0)
    counts = Counter(item for epoch in range(1000) for item in epoch_of(loader, epoch).negative_item.tolist())
    assert set(counts) == {3, 4, 6, 7, 8}
    assert [count / 5000 for count in counts.values()] == pytest.approx([0.2] * 5, abs=0.03)


def test_negatives_are_new_in_every_epoch_and_reproducible() -> None:
    def negatives(seed: int, epoch: int) -> tuple[list[int], ...]:
        loader = PairLoader(random_rows(), 16, num_items=NUM_ITEMS, seed=seed, shuffle=False)
        return epoch_of(loader, epoch).positive_item.tolist(), epoch_of(loader, epoch).negative_item.tolist()

    assert negatives(0, 1) == negatives(0, 1)
    assert negatives(0, 1)[0] == negatives(0, 2)[0]
    assert negatives(0, 1)[1] != negatives(0, 2)[1]
    assert negatives(0, 1)[1] != negatives(1, 1)[1]


@pytest.mark.parametrize("world_size", [2, 3])
def test_processes_share_the_pairs_of_one_process(world_size: int) -> None:
    def pairs(rank: int, world_size: int) -> list[tuple[int, ...]]:
        loader = PairLoader(random_rows(), 7, num_items=NUM_ITEMS, seed=5, rank=rank, world_size=world_size)
        return list(zip(*(column.tolist() for column in epoch_of(loader, 3)), strict=True))

    parts = [pairs(rank, world_size) for rank in range(world_size)]
    assert [pair for part in parts for pair in part] == pairs(0, 1)


def test_positives_of_a_user_who_took_every_item_are_left_out() -> None:
    rows = Batch(torch.tensor([1, 1, 2]), torch.tensor([1, 2, 1]), torch.ones(3))
    pairs = epoch_of(PairLoader(rows, 4, num_items=3, seed=0))
    assert [column.tolist() for column in pairs] == [[2], [1], [2]]


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_rows_without_any_pair_are_refused(label: float) -> None:
    rows = Batch(torch.tensor([1, 1]), torch.tensor([1, 2]), torch.full((2,), label))
    with pytest.raises(ValueError, match="can be paired with a negative item"):
        PairLoader(rows, 4, num_items=3, seed=0)
