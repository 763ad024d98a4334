"""Propagation of vectors between users and items."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

# Of all edges: if those of some nodes are more, the product of all nodes takes less time.
_LARGEST_SHARE = 0.6


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
        self.register_buffer("first", _with_zero(degree.cumsum(0)), persistent=False)
        self.register_buffer("neighbour", neighbour, persistent=False)
        self.register_buffer("weight", scale[node] * scale[neighbour], persistent=False)

    def forward(self, vectors: Tensor) -> Tensor:
        """Return the weighted sum of every node's neighbours, float [num_nodes, d] -> [num_nodes, d]."""
        matrix = _matrix(self.first, self.neighbour, self.weight, self.num_nodes)
        # The matrix is symmetric. torch gives `apply` no types.
        propagated: Tensor = _Product.apply(matrix, lambda: matrix, vectors)  # type: ignore[no-untyped-call]
        return propagated

    def of_nodes(self, vectors: Tensor, node: Tensor) -> Tensor:
        """Return the weighted sums of some nodes' neighbours, the rows ``node`` of what ``forward`` returns.

        On a CPU only the edges of these nodes are looked at, forwards and backwards, if they are not most of all.

        Args:
            vectors: Of all nodes, float [num_nodes, d].
            node: The nodes, none twice, int64 [n].

        Returns:
            Float [n, d].
        """
        count = self.first[node + 1] - self.first[node]
        # An accelerator would wait for the number of edges longer than for the product.
        if vectors.device.type != "cpu" or count.sum() > _LARGEST_SHARE * len(self.neighbour):
            return self(vectors)[node]
        propagated: Tensor = _Product.apply(  # type: ignore[no-untyped-call]  # torch gives `apply` no types
            self._rows(node, count), partial(self._columns, node), vectors
        )
        return propagated

    def _rows(self, node: Tensor, count: Tensor) -> Tensor:
        """Return the matrix's rows of some nodes, of which ``count`` are the edges, sparse [n, num_nodes]."""
        first = _with_zero(count.cumsum(0))
        edge = torch.arange(int(first[-1])) + (self.first[node] - first[:-1]).repeat_interleave(count)
        return _matrix(first, self.neighbour[edge], self.weight[edge], self.num_nodes)

    def _columns(self, node: Tensor) -> Tensor:
        """Return the matrix's columns of some nodes, sparse [num_nodes, n]."""
        place = torch.full((self.num_nodes,), -1).index_copy_(0, node, torch.arange(len(node)))
        column = place[self.neighbour]
        is_kept = column >= 0
        first = _with_zero(is_kept.cumsum(0))[self.first]
        return _matrix(first, column[is_kept], self.weight[is_kept], len(node))


def _with_zero(sums: Tensor) -> Tensor:
    return nn.functional.pad(sums, (1, 0))


def _matrix(first: Tensor, column: Tensor, value: Tensor, num_columns: int) -> Tensor:
    """Return a matrix of compressed sparse rows, whose begins are ``first``."""
    return torch.sparse_csr_tensor(first, column, value, (len(first) - 1, num_columns), check_invariants=False)


class _Product(torch.autograd.Function):
    """The product of a sparse matrix, whose transpose is asked for backwards."""

    @staticmethod
    def forward(ctx: Any, matrix: Tensor, transpose: Callable[[], Tensor], vectors: Tensor) -> Tensor:
        ctx.transpose = transpose
        return _product(matrix, vectors)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, None, Tensor]:
        return None, None, _product(ctx.transpose(), gradient)


def _product(matrix: Tensor, vectors: Tensor) -> Tensor:
    # Sparse products know no half precision.
    with torch.autocast(vectors.device.type, enabled=False):
        return matrix @ vectors.to(matrix.dtype)
