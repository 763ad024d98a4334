"""The published training of multi-task models in plain PyTorch, to measure ours against.

A re-statement of what MTReclib (https://github.com/easezyc/Multitask-Recommendation-Library) computes: rows are fetched
one by one and collated, loops go through experts, tasks and towers, every task has its BCE of probabilities, and Adam
runs with torch's defaults.
"""

from collections.abc import Iterable, Sequence
from itertools import chain, pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from benchmarks.published.layers import FieldVectors, network, tower
from datamodules.batches import ImpressionBatch

LEARNING_RATE, WEIGHT_DECAY = 1e-3, 1e-6

Row = tuple[np.ndarray, np.ndarray, np.ndarray]


class Sizes(NamedTuple):
    """Sizes of the data and, as published, of the models; PLE has half as many experts shared and of each task."""

    field_sizes: Sequence[int]
    num_numerical: int
    num_tasks: int
    embedding_dim: int = 128
    bottom_dims: tuple[int, ...] = (512, 256)
    tower_dims: tuple[int, ...] = (128, 64)
    dropout: float = 0.2
    num_experts: int = 8


class RowDataset(Dataset[Row]):
    """One row at a time: its categories, its numerical features and its labels."""

    def __init__(self, rows: ImpressionBatch) -> None:
        self.columns = rows.categorical.numpy(), rows.numerical.numpy(), rows.label.numpy()

    def __len__(self) -> int:
        return len(self.columns[0])

    def __getitem__(self, index: int) -> Row:
        categorical, numerical, label = self.columns
        return categorical[index], numerical[index], label[index]


def row_loader(rows: ImpressionBatch, batch_size: int) -> DataLoader[Row]:
    """Return the shuffled loader, without worker processes, which would share the one core."""
    return DataLoader(RowDataset(rows), batch_size=batch_size, shuffle=True)


class MultiTask(nn.Module):
    """What all models have: embedded fields, and a tower for each task."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.embedding = FieldVectors(sizes.field_sizes, sizes.num_numerical, sizes.embedding_dim)
        dims = [sizes.bottom_dims[-1], *sizes.tower_dims]
        self.towers = nn.ModuleList(tower(dims, sizes.dropout, batch_norm=True) for _ in range(sizes.num_tasks))

    def probabilities(self, inputs: Iterable[Tensor]) -> list[Tensor]:
        """Return the probability of each task, [n], of what its tower reads."""
        return [torch.sigmoid(tower(each).squeeze(1)) for tower, each in zip(self.towers, inputs, strict=True)]


class SharedBottom(MultiTask):
    """One network below all towers."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__(sizes)
        self.bottom = network([self.embedding.out_features, *sizes.bottom_dims], sizes.dropout, batch_norm=True)

    def forward(self, categorical: Tensor, numerical: Tensor) -> list[Tensor]:
        """Return the probability of each task, [n]."""
        features = self.bottom(self.embedding(categorical, numerical))
        return self.probabilities([features] * len(self.towers))


class MMoE(MultiTask):
    """Experts, mixed by a gate for each task."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__(sizes)
        width = self.embedding.out_features
        self.experts = networks(sizes.num_experts, [width, *sizes.bottom_dims], sizes.dropout)
        self.gates = nn.ModuleList(gate(width, sizes.num_experts) for _ in range(sizes.num_tasks))

    def forward(self, categorical: Tensor, numerical: Tensor) -> list[Tensor]:
        """Return the probability of each task, [n]."""
        vectors = self.embedding(categorical, numerical)
        outputs = [expert(vectors) for expert in self.experts]
        return self.probabilities([mixture(gate(vectors), outputs) for gate in self.gates])


class PLE(MultiTask):
    """Layers of experts of all tasks and of each one."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__(sizes)
        pairs = pairwise([self.embedding.out_features, *sizes.bottom_dims])
        layers = nn.ModuleList(PLELayer(pair, sizes) for pair in pairs)
        self.layers: Sequence[PLELayer] = layers  # type: ignore[assignment]  # acts as one

    def forward(self, categorical: Tensor, numerical: Tensor) -> list[Tensor]:
        """Return the probability of each task, [n]."""
        paths = [self.embedding(categorical, numerical)] * (len(self.towers) + 1)
        for index, layer in enumerate(self.layers):
            paths = layer(paths, is_last=index + 1 == len(self.layers))
        return self.probabilities(paths[:-1])


class PLELayer(nn.Module):
    """One layer of experts; the published one has the gate of the shared path in the last layer too."""

    def __init__(self, dims: tuple[int, int], sizes: Sizes) -> None:
        super().__init__()
        half, tasks = sizes.num_experts // 2, sizes.num_tasks
        experts = nn.ModuleList(networks(half, dims, sizes.dropout) for _ in range(tasks))
        self.task_experts: Sequence[nn.ModuleList] = experts  # type: ignore[assignment]  # acts as one
        self.task_gates = nn.ModuleList(gate(dims[0], 2 * half) for _ in range(tasks))
        self.shared_experts = networks(half, dims, sizes.dropout)
        self.shared_gate = gate(dims[0], (tasks + 1) * half)

    def forward(self, paths: list[Tensor], *, is_last: bool) -> list[Tensor]:
        """Return each task's path and the shared one, [n, out], from what they were, [n, in]."""
        *own, shared = paths
        of_all = [expert(shared) for expert in self.shared_experts]
        of_tasks = [[expert(path) for expert in experts] for experts, path in zip(self.task_experts, own, strict=True)]
        outputs = zip(self.task_gates, own, of_tasks, strict=True)
        mixtures = [mixture(gate(path), [*specific, *of_all]) for gate, path, specific in outputs]
        if is_last:
            return [*mixtures, shared]
        return [*mixtures, mixture(self.shared_gate(shared), [*chain(*of_tasks), *of_all])]


def networks(count: int, dims: Sequence[int], dropout: float) -> nn.ModuleList:
    """Return several networks of one shape."""
    return nn.ModuleList(network(dims, dropout, batch_norm=True) for _ in range(count))


def gate(in_features: int, experts: int) -> nn.Sequential:
    """Return a gate over experts."""
    return nn.Sequential(nn.Linear(in_features, experts), nn.Softmax(dim=1))


def mixture(weights: Tensor, outputs: list[Tensor]) -> Tensor:
    """Return outputs of experts, [n, out] each, added up with weights [n, experts]."""
    return torch.bmm(weights.unsqueeze(1), torch.stack(outputs, dim=1)).squeeze(1)


def mean_loss(probabilities: list[Tensor], label: Tensor) -> Tensor:
    """Return the mean over the tasks of their BCE."""
    criterion = nn.BCELoss()
    losses = [criterion(each, label[:, task]) for task, each in enumerate(probabilities)]
    return torch.stack(losses).mean()


def train(model: MultiTask, rows: ImpressionBatch, batch_size: int) -> float:
    """Train one epoch with a new optimizer, and return the mean loss of the batches."""
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    model.train()
    total, loader = 0.0, row_loader(rows, batch_size)
    for categorical, numerical, label in loader:
        loss = mean_loss(model(categorical, numerical), label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item()
    return total / len(loader)
