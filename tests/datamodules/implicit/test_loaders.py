import pytest
import torch

from datamodules import CatalogueLoader, PositiveLoader
from datamodules.batches import FeedbackRows
from tests.datamodules.implicit.feedback_helpers import random_items, sets_of


def loader(rank: int = 0, world_size: int = 1, seed: int = 5) -> PositiveLoader:
    items = random_items()
    return PositiveLoader(FeedbackRows(items.user, items.item), 7, seed=seed, rank=rank, world_size=world_size)


def pairs(rows: PositiveLoader, epoch: int = 3) -> list[tuple[int, int]]:
    rows.set_epoch(epoch)
    return [pair for batch in rows for pair in zip(batch.user.tolist(), batch.item.tolist(), strict=True)]


@pytest.mark.parametrize("world_size", [2, 3])
def test_processes_share_the_rows_of_one_process(world_size: int) -> None:
    parts = [pairs(loader(rank, world_size)) for rank in range(world_size)]
    assert [pair for part in parts for pair in part] == pairs(loader())


def test_every_batch_of_every_epoch_and_process_has_a_seed_of_its_own() -> None:
    seeds = set()
    for rank in range(2):
        rows = loader(rank, 2)
        for epoch in range(3):
            rows.set_epoch(epoch)
            seeds |= {batch.seed for batch in rows}
    assert len(seeds) == 2 * 3 * len(loader(0, 2))
    assert [batch.seed for batch in loader()] == [batch.seed for batch in loader()]
    assert next(iter(loader())).seed != next(iter(loader(seed=6))).seed


def test_a_restored_loader_goes_on_with_the_rows_and_seeds_that_follow() -> None:
    first, second = loader(), loader()
    batches = iter(first)
    for _ in range(4):
        next(batches)
    second.load_state_dict(first.state_dict())
    rest = list(second)
    assert [batch.seed for batch in rest] == [batch.seed for batch in batches]
    assert len(rest) == len(second) - 4


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_blocks_of_users_have_their_items(batch_size: int) -> None:
    seen, relevant = random_items(), random_items(seed=1)
    users = torch.tensor([4, 0, 17, 9])
    blocks = list(CatalogueLoader(users, batch_size, seen=seen, relevant=relevant))
    assert torch.cat([block.user for block in blocks]).tolist() == users.tolist()
    for block in blocks:
        for found, expected in ((block.seen, seen), (block.relevant, relevant)):
            by_row = [set(found[1][found[0] == row].tolist()) for row in range(len(block.user))]
            assert by_row == [sets_of(expected)[user] for user in block.user.tolist()]
            assert found.shape[1] == sum(map(len, by_row))
