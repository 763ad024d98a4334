"""Data of somebody else whose test rows cannot be compared are refused, and not compared wrongly."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import lossmith
from lightning_modules.losses import MSE
from tests.lossmith.modules import Net, Pairs
from tests.lossmith.small import compare


class Shuffled(Pairs):
    def test_dataloader(self) -> DataLoader[Any]:
        return DataLoader(self.parts[2], batch_size=10, shuffle=True)


class Weighted(Pairs):
    """Test rows with a weight behind the label."""

    def test_dataloader(self) -> DataLoader[Any]:
        columns = self.parts[2].tensors
        return DataLoader(TensorDataset(*columns, torch.rand(len(columns[1]))), batch_size=10)


class Graded(Pairs):
    """Test rows with labels above 1."""

    def test_dataloader(self) -> DataLoader[Any]:
        ids, label = self.parts[2].tensors
        return DataLoader(TensorDataset(ids, 5 * label), batch_size=10)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (Shuffled(), "turn shuffling off in val_dataloader and test_dataloader"),
        (Weighted(), "labels of a batch are not known, which is a list of 3"),
        (Graded(), "labels are neither 0 nor 1, such as 5"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_rows_that_cannot_be_compared_are_refused(data: Pairs, said: str, tmp_path: Path) -> None:
    net = lossmith.adapt(Net(), gives="logit")
    with pytest.raises(ValueError, match=said):
        compare(net, data, [MSE()], monitor="val_auc", root=tmp_path / "comparison")
