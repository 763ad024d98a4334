import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from datamodules import Batch, BatchLoader
from datamodules.loader import epoch_generator


def rows_of(size: int) -> Batch:
    index = torch.arange(size)
    return Batch(user=index, item=index * 10, label=(index % 2).float())


def users(loader: BatchLoader[Batch]) -> list[int]:
    return [user for batch in loader for user in batch.user.tolist()]


@given(size=st.integers(1, 200), world_size=st.integers(1, 7), batch_size=st.integers(1, 40), shuffle=st.booleans())
def test_processes_share_all_rows_in_equal_steps(size: int, world_size: int, batch_size: int, shuffle: bool) -> None:
    loaders = [
        BatchLoader(rows_of(size), batch_size, shuffle=shuffle, seed=3, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    if size < world_size:
        with pytest.raises(ValueError, match=f"{size} rows cannot be shared among {world_size} processes"):
            len(loaders[0])
        return
    batches = [list(loader) for loader in loaders]
    assert sorted(user for part in batches for batch in part for user in batch.user.tolist()) == list(range(size))
    assert {len(part) for part in batches} == {len(loaders[0])}
    lengths = [len(batch.user) for part in batches for batch in part]
    assert min(lengths) >= 1
    assert max(lengths) <= batch_size + (world_size > 1)


def test_without_shuffle_batches_are_views_in_order() -> None:
    rows = rows_of(10)
    batches = list(BatchLoader(rows, 4))
    assert [batch.user.tolist() for batch in batches] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert all(type(batch) is Batch for batch in batches)
    assert batches[1].item.untyped_storage().data_ptr() == rows.item.untyped_storage().data_ptr()


def test_shuffled_rows_stay_together() -> None:
    for batch in BatchLoader(rows_of(50), 8, shuffle=True, seed=0):
        torch.testing.assert_close(batch.item, batch.user * 10)
        torch.testing.assert_close(batch.label, (batch.user % 2).float())


def test_order_depends_on_seed_and_epoch_alone() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        loader = BatchLoader(rows_of(40), 7, shuffle=True, seed=seed)
        loader.sampler.set_epoch(epoch)
        return users(loader)

    orders = {(seed, epoch): order(seed, epoch) for seed in range(3) for epoch in range(3)}
    assert all(sorted(order) == list(range(40)) for order in orders.values())
    assert len({tuple(order) for order in orders.values()}) == len(orders)
    assert order(2, 1) == orders[2, 1]


def test_global_random_state_is_left_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    list(BatchLoader(rows_of(20), 4, shuffle=True, seed=1))
    torch.testing.assert_close(torch.rand(3), expected)


def test_restored_loader_goes_on_inside_its_epoch() -> None:
    whole = BatchLoader(rows_of(40), 7, shuffle=True, seed=1)
    whole.set_epoch(2)
    expected = users(whole)
    interrupted = BatchLoader(rows_of(40), 7, shuffle=True, seed=1)
    interrupted.set_epoch(2)
    batches = iter(interrupted)
    next(batches), next(batches)
    restored = BatchLoader(rows_of(40), 7, shuffle=True, seed=1)
    restored.load_state_dict(interrupted.state_dict())
    restored.set_epoch(2)
    assert users(restored) == expected[14:]
    assert users(restored) == expected


def test_restored_loader_starts_other_epochs_at_their_beginning() -> None:
    loader = BatchLoader(rows_of(40), 7, shuffle=True, seed=1)
    list(loader)
    restored = BatchLoader(rows_of(40), 7, shuffle=True, seed=1)
    restored.load_state_dict(loader.state_dict())
    restored.set_epoch(1)
    assert sorted(users(restored)) == list(range(40))


def begun(batches: int) -> dict[str, int]:
    """Return the state of a loader of batches of 7 rows in an epoch of 6."""
    loader = BatchLoader(rows_of(40), 7, shuffle=True, seed=1)
    for _ in zip(range(batches), loader, strict=False):
        pass
    return loader.state_dict()


@pytest.mark.parametrize(
    ("batch_size", "world_size", "words"),
    [(8, 1, "batches of 8 rows in 1 process"), (7, 2, "batches of 7 rows in 2 processes")],
)
def test_an_epoch_begun_is_not_gone_on_with_in_other_steps(batch_size: int, world_size: int, words: str) -> None:
    restored = BatchLoader(rows_of(40), batch_size, shuffle=True, seed=1, rank=0, world_size=world_size)
    restored.load_state_dict(begun(2))
    with pytest.raises(ValueError, match=f"epoch 0, after 2 batches of 7 rows in 1 process, and .* {words}: rows of"):
        users(restored)


@pytest.mark.parametrize(("batches", "left"), [(0, 40), (6, 0)])
def test_other_steps_do_not_matter_where_no_epoch_is_begun(batches: int, left: int) -> None:
    for batch_size in (3, 7, 20):
        restored = BatchLoader(rows_of(40), batch_size, shuffle=True, seed=1)
        restored.load_state_dict(begun(batches))
        assert len(users(restored)) == left


def test_a_state_without_the_batch_size_is_gone_on_with() -> None:
    restored = BatchLoader(rows_of(40), 7, shuffle=True, seed=1)
    restored.load_state_dict({"epoch": 0, "position": 2})
    assert len(users(restored)) == 26


def test_loader_saved_before_the_first_batch_of_an_epoch_restores_all_of_it() -> None:
    loader = BatchLoader(rows_of(40), 7, shuffle=True, seed=1)
    list(loader)
    loader.set_epoch(1)
    restored = BatchLoader(rows_of(40), 7, shuffle=True, seed=1)
    restored.load_state_dict(loader.state_dict())
    restored.set_epoch(1)
    assert users(restored) == users(loader)


def test_process_is_asked_from_torch_distributed_when_a_loop_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    loader = BatchLoader(rows_of(10), 2)
    assert len(loader) == 5
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 1)
    assert len(loader) == 3
    assert users(loader) == [5, 6, 7, 8, 9]


def test_seeds_of_any_size_and_sign_are_taken() -> None:
    draws = {torch.rand(1, generator=epoch_generator(seed, 0)).item() for seed in (-1, 0, 2**63, 2**64 - 2)}
    assert len(draws) == 4


def test_unusable_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="equally long"):
        BatchLoader(Batch(torch.zeros(2), torch.zeros(3), torch.zeros(2)), 1)
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        BatchLoader(rows_of(2), 0)
    with pytest.raises(ValueError, match="needs a seed"):
        BatchLoader(rows_of(2), 1, shuffle=True)
