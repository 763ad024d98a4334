"""Many steps at a time: the rows of the single batches, in their order."""

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from lightning_modules.populations import UnmatchedError
from lightning_modules.populations.fused import steps as steps_module
from lightning_modules.populations.fused.steps import StepsDataModule, StepsLoader
from tests.populations.population_helpers import planted_data


@pytest.mark.parametrize("most_rows", [2**20, 100, 1])
def test_steps_are_the_batches_of_the_epoch(most_rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps_module, "_MOST_ROWS", most_rows)
    data = planted_data()
    data.setup("fit")
    single, many = data.train_dataloader(), StepsLoader(data.train_dataloader())
    orders = []
    for epoch in (0, 1):
        single.set_epoch(epoch)
        many.sampler.set_epoch(epoch)
        batches = [
            type(each.rows)._make(column[begin:end] for column in each.rows)
            for each in many
            for begin, end in zip(each.starts[:-1], each.starts[1:], strict=True)
        ]
        expected = list(single)
        assert len(batches) == len(expected)
        for one, other in zip(batches, expected, strict=True):
            assert all(torch.equal(left, right) for left, right in zip(one, other, strict=True))
        orders.append(batches[0].item)
    assert not torch.equal(*orders)
    assert len(many) == len(list(many))


def test_a_loader_of_single_batches_is_refused() -> None:
    class Plain(pl.LightningDataModule):
        def train_dataloader(self) -> DataLoader[int]:
            return DataLoader(range(3))  # type: ignore[arg-type]

    with pytest.raises(UnmatchedError, match="DataLoader"):
        StepsDataModule(Plain()).train_dataloader()
