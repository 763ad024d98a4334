"""Loaders whose rows come in another order every time are refused, all others are taken."""

from typing import Any

import pytest
import torch
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    DistributedSampler,
    IterableDataset,
    RandomSampler,
    Sampler,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

from datamodules.batches import Batch
from datamodules.loader import BatchLoader
from lightning_modules.training.row_order import refuse_random_order

ROWS = TensorDataset(torch.arange(8))
COLUMNS = Batch(torch.arange(8), torch.arange(8), torch.zeros(8))


class Streamed(IterableDataset[Any]):
    def __iter__(self) -> Any:
        return iter(range(8))


def sampled(sampler: Sampler[int]) -> DataLoader[Any]:
    return DataLoader(ROWS, batch_size=2, sampler=sampler)


@pytest.mark.parametrize(
    ("loader", "kind"),
    [
        (DataLoader(ROWS, shuffle=True), "RandomSampler"),
        (sampled(SubsetRandomSampler(range(4))), "SubsetRandomSampler"),
        (sampled(WeightedRandomSampler([1.0] * 8, 8)), "WeightedRandomSampler"),
        (sampled(DistributedSampler(ROWS, num_replicas=2, rank=0)), "DistributedSampler"),
        (DataLoader(ROWS, batch_sampler=BatchSampler(RandomSampler(ROWS), 2, drop_last=False)), "RandomSampler"),
        (BatchLoader(COLUMNS, 2, shuffle=True, seed=0), "BatchLoader"),
    ],
)
def test_a_random_order_is_refused(loader: Any, kind: str) -> None:
    with pytest.raises(ValueError, match=rf"another order every time \({kind}\).* turn shuffling off in"):
        refuse_random_order(loader)


@pytest.mark.parametrize(
    "loader",
    [
        DataLoader(ROWS),
        DataLoader(ROWS, batch_size=None),
        sampled(DistributedSampler(ROWS, num_replicas=2, rank=0, shuffle=False)),
        DataLoader(Streamed()),
        BatchLoader(COLUMNS, 2),
        iter([COLUMNS]),
    ],
)
def test_an_order_of_its_own_is_taken(loader: Any) -> None:
    refuse_random_order(loader)


@pytest.mark.parametrize(("loaders", "kind"), [([DataLoader(ROWS)] * 2, "list"), ({"one": DataLoader(ROWS)}, "dict")])
def test_several_loaders_are_refused(loaders: Any, kind: str) -> None:
    with pytest.raises(ValueError, match=rf"returns a {kind} of loaders, .* let it return one loader"):
        refuse_random_order(loaders)
