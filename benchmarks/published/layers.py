"""Layers that the published models and agents have in common, in plain PyTorch."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn


class FieldVectors(nn.Module):
    """The vectors of the fields and that of the features, one after another."""

    offsets: Tensor

    def __init__(self, field_sizes: Sequence[int], num_numerical: int, embedding_dim: int) -> None:
        super().__init__()
        self.table = nn.Embedding(sum(field_sizes), embedding_dim)
        nn.init.xavier_uniform_(self.table.weight)
        self.register_buffer("offsets", torch.tensor([0, *field_sizes[:-1]]).cumsum(0))
        self.numerical = nn.Linear(num_numerical, embedding_dim)
        self.out_features = (len(field_sizes) + 1) * embedding_dim

    def forward(self, categorical: Tensor, numerical: Tensor) -> Tensor:
        """Return the vectors of every row, [n, out_features], of fields [n, fields] and features [n, features]."""
        vectors = self.table(categorical + self.offsets)
        return torch.cat([vectors, self.numerical(numerical).unsqueeze(1)], dim=1).flatten(1)


def network(dims: Sequence[int], dropout: float, *, batch_norm: bool) -> nn.Sequential:
    """Return hidden layers of the sizes after the first, that of the input."""
    layers: list[nn.Module] = []
    for size, next_size in pairwise(dims):
        norm = [nn.BatchNorm1d(next_size)] if batch_norm else []
        layers += [nn.Linear(size, next_size), *norm, nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers)


def tower(dims: Sequence[int], dropout: float, *, batch_norm: bool) -> nn.Sequential:
    """Return hidden layers as :func:`network` does, and a Linear layer to one number."""
    return nn.Sequential(network(dims, dropout, batch_norm=batch_norm), nn.Linear(dims[-1], 1))
