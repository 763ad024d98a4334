"""A module and data as somebody else has written them, without anything of the project."""

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics.classification import BinaryAUROC


class Net(pl.LightningModule):
    """A logit of two embeddings, trained with torch's own loss on pairs ``(ids, label)``."""

    def __init__(self, size: int = 40, dim: int = 4) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.user, self.item = nn.Embedding(size, dim), nn.Embedding(size, dim)
        self.loss = nn.BCEWithLogitsLoss()
        self.auc = BinaryAUROC()

    def forward(self, ids: Tensor) -> Tensor:
        return (self.user(ids[:, 0]) * self.item(ids[:, 1])).sum(1)

    def training_step(self, batch: list[Tensor]) -> Tensor:
        ids, label = batch
        return self.loss(self(ids), label)

    def validation_step(self, batch: list[Tensor]) -> None:
        ids, label = batch
        self.auc.update(self(ids), label.long())
        self.log("val_auc", self.auc, on_epoch=True)

    def predict_step(self, batch: list[Tensor]) -> Tensor:
        return torch.sigmoid(self(batch[0]))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=0.02)


class Pairs(pl.LightningDataModule):
    """Pairs of a user and an item, one of whose preferences is planted."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.save_hyperparameters()
        generator = torch.Generator().manual_seed(seed)
        ids = torch.randint(0, 40, (600, 2), generator=generator)
        label = ((ids[:, 0] + ids[:, 1]) % 4 < 2).float()
        self.parts = [TensorDataset(ids[part], label[part]) for part in (slice(400), slice(400, 500), slice(500, 600))]

    def train_dataloader(self) -> DataLoader[Any]:
        return DataLoader(self.parts[0], batch_size=50, shuffle=True)

    def val_dataloader(self) -> DataLoader[Any]:
        return DataLoader(self.parts[1], batch_size=100)

    def test_dataloader(self) -> DataLoader[Any]:
        return DataLoader(self.parts[2], batch_size=100)
