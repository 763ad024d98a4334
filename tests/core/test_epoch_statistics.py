import pytest
import torch

from lightning_modules.core.epoch_statistics import RowSample


def test_all_rows_are_kept_while_they_fit() -> None:
    sample, rows = RowSample(capacity=12), torch.randn(12, 2)
    assert sample.rows() is None
    for batch in rows.split(5):
        sample.add(batch)
    assert torch.equal(sample.rows(), rows)


@pytest.mark.parametrize("batch_size", [1, 3, 7, 16, 100, 1000])
@pytest.mark.parametrize("capacity", [1, 5, 64])
def test_the_sample_is_evenly_spaced_and_bounded_whatever_the_batches(batch_size: int, capacity: int) -> None:
    sample, rows = RowSample(capacity), torch.arange(1000)
    added = 0
    for batch in rows.split(batch_size):
        sample.add(batch)
        added += len(batch)
        stride = 1
        while -(-added // stride) > capacity:
            stride *= 2
        assert sample.rows().tolist() == list(range(0, added, stride))


def test_a_sample_does_not_hold_on_to_the_batches() -> None:
    sample = RowSample(capacity=10)
    for _ in range(20):
        sample.add(torch.randn(1000, 2))
    assert len(sample.rows()) <= 10
    assert sum(kept.untyped_storage().nbytes() for kept in sample._kept) <= 10 * 2 * 4


def test_later_changes_of_a_batch_do_not_reach_the_sample() -> None:
    sample, rows = RowSample(), torch.zeros(3)
    sample.add(rows)
    rows += 1
    assert sample.rows().tolist() == [0.0, 0.0, 0.0]
