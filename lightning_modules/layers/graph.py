"""Propagation of vectors between users and items."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class InteractionGraph(nn.Module):
    """The graph of users and their items, whose forward is one step of propagation.

    With the adjacency matrix ``A`` of all nodes, users before items, and the diagonal matrix ``D`` of their degrees it
    is ``D^(-1/2) A D^(-1/2)``; a node without an edge has a row of zeros. The matrix is no part of checkpoints and
    moves between devices with the module.

    Args:
        user: Index of the user of every edge, int64 [n].
        item: Index of its item, int64 [n]; no edge is there twice.
        num_users: Number of users.
        num_items: Number of items.
    """

    first: Tensor
    neighbour: Tensor
    weight: Tensor

    def __init__(self, user: Tensor, item: Tensor, num_users: int, num_items: int) -> None:
        super().__init__()
        self.num_users, self.num_nodes = num_users, num_users + num_items
        ends = torch.stack([user, item + num_users])
        node, neighbour = torch.cat([ends, ends.flip(0)], dim=1)
        order = (node * self.num_nodes + neighbour).argsort()
        node, neighbour = node[order], neighbour[order]
        degree = torch.bincount(node, minlength=self.num_nodes)
        scale = degree.float().rsqrt()
        self.register_buffer("first", nn.functional.pad(degree.cumsum(0), (1, 0)), persistent=False)
        self.register_buffer("neighbour", neighbour, persistent=False)
        self.register_buffer("weight", scale[node] * scale[neighbour], persistent=False)

    def forward(self, vectors: Tensor) -> Tensor:
        """Return the weighted sum of every node's neighbours, float [num_nodes, d] -> [num_nodes, d]."""
        size = (self.num_nodes, self.num_nodes)
        matrix = torch.sparse_csr_tensor(self.first, self.neighbour, self.weight, size, check_invariants=False)
        # torch gives `apply` no types.
        propagated: Tensor = _SymmetricProduct.apply(matrix, vectors)  # type: ignore[no-untyped-call]
        return propagated


class _SymmetricProduct(torch.autograd.Function):
    """The product of a symmetric sparse matrix, which is its own transpose backwards."""

    @staticmethod
    def forward(ctx: Any, matrix: Tensor, vectors: Tensor) -> Tensor:
        ctx.matrix = matrix
        return _product(matrix, vectors)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor]:
        return None, _product(ctx.matrix, gradient)


def _product(matrix: Tensor, vectors: Tensor) -> Tensor:
    # Sparse products know no half precision.
    with torch.autocast(vectors.device.type, enabled=False):
        return matrix @ vectors.to(matrix.dtype)
