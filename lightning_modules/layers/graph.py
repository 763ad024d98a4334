"""Propagation of vectors between users and items."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from lightning_modules.utilities.compiled import is_available

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
        # Sparse products copy indices of 64 bits to 32.
        kind = torch.int32 if len(node) < 2**31 else torch.int64
        self.register_buffer("first", nn.functional.pad(degree.cumsum(0), (1, 0)).to(kind), persistent=False)
        self.register_buffer("neighbour", neighbour.to(kind), persistent=False)
        self.register_buffer("weight", scale[node] * scale[neighbour], persistent=False)

    def forward(self, vectors: Tensor) -> Tensor:
        """Return the weighted sum of every node's neighbours, float [num_nodes, d] -> [num_nodes, d]."""
        # torch gives `apply` no types.
        propagated: Tensor = _Propagation.apply(self, vectors)  # type: ignore[no-untyped-call]
        return propagated

    def mean_of_layers(self, vectors: Tensor, num_layers: int, node: Tensor) -> Tensor:
        """Return the mean of some nodes' vectors and of those after one step of propagation, two, and so on.

        The last step is made for these nodes alone, and so is its gradient; it can be differentiated once.

        Args:
            vectors: Of all nodes, float [num_nodes, d].
            num_layers: Number of steps.
            node: The nodes, none twice, int64 [n].

        Returns:
            Float [n, d].
        """
        mean: Tensor = _MeanOfLayers.apply(self, vectors, num_layers, node)  # type: ignore[no-untyped-call]
        return mean

    def sums(self, vectors: Tensor) -> Tensor:
        """Return what ``forward`` returns, without gradient."""
        return _product(_matrix(self.first, self.neighbour, self.weight, self.num_nodes), vectors)

    def sums_of(self, vectors: Tensor, node: Tensor) -> Tensor:
        """Return the rows ``node`` of :meth:`sums`, int64 [n] -> float [n, d]."""
        begin = self.first[node]
        count = self.first[node + 1] - begin
        if not self._pays(vectors, count):
            return self.sums(vectors)[node]
        first = nn.functional.pad(count.cumsum(0, dtype=count.dtype), (1, 0))
        edge = torch.arange(int(first[-1])) + (begin - first[:-1]).repeat_interleave(count)
        return _product(_matrix(first, self.neighbour[edge], self.weight[edge], self.num_nodes), vectors)

    def sums_from(self, vectors: Tensor, node: Tensor) -> Tensor:
        """Return :meth:`sums` of vectors that are those of some nodes and 0 elsewhere.

        Args:
            vectors: Of these nodes, float [n, d].
            node: The nodes, none twice, int64 [n].

        Returns:
            Float [num_nodes, d].
        """
        result = vectors.new_zeros(self.num_nodes, vectors.shape[1])
        if not (self._pays(vectors, self.first[node + 1] - self.first[node]) and is_available()):
            return self.sums(result.index_copy_(0, node, vectors))
        from lightning_modules.layers.graph_kernel import add_to_neighbours  # compiles when it is first called

        add_to_neighbours(vectors, node, self.first, self.neighbour, self.weight, result)
        return result

    def _pays(self, vectors: Tensor, count: Tensor) -> bool:
        """Return whether to look at the edges of some nodes alone, whose numbers are ``count``."""
        # An accelerator would wait for the number of edges longer than for the product.
        return vectors.device.type == "cpu" and int(count.sum()) <= _LARGEST_SHARE * len(self.neighbour)


class _Propagation(torch.autograd.Function):
    """The product with the matrix, which is its own transpose backwards."""

    @staticmethod
    def forward(ctx: Any, graph: InteractionGraph, vectors: Tensor) -> Tensor:
        ctx.graph = graph
        return graph.sums(vectors)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor]:
        return None, ctx.graph.sums(gradient)


class _MeanOfLayers(torch.autograd.Function):
    """The mean of layers, of which no more than the nodes' vectors is ever added up."""

    @staticmethod
    def forward(ctx: Any, graph: InteractionGraph, vectors: Tensor, num_layers: int, node: Tensor) -> Tensor:
        ctx.graph, ctx.num_layers, ctx.node = graph, num_layers, node
        layer, total = vectors, vectors.index_select(0, node)
        for _ in range(num_layers - 1):
            layer = graph.sums(layer)
            total += layer.index_select(0, node)
        if num_layers > 0:
            total += graph.sums_of(layer, node)
        return total.div_(num_layers + 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor, None, None]:
        graph, node, own = ctx.graph, ctx.node, gradient / (ctx.num_layers + 1)
        if ctx.num_layers == 0:
            return None, own.new_zeros(graph.num_nodes, own.shape[1]).index_copy_(0, node, own), None, None
        total = graph.sums_from(own, node).index_add_(0, node, own)
        for _ in range(ctx.num_layers - 1):
            total = graph.sums(total).index_add_(0, node, own)
        return None, total, None, None


def _matrix(first: Tensor, column: Tensor, value: Tensor, num_columns: int) -> Tensor:
    """Return a matrix of compressed sparse rows, of which ``first`` says where each begins."""
    return torch.sparse_csr_tensor(first, column, value, (len(first) - 1, num_columns), check_invariants=False)


def _product(matrix: Tensor, vectors: Tensor) -> Tensor:
    # Sparse products know no half precision.
    with torch.autocast(vectors.device.type, enabled=False):
        product: Tensor = matrix @ vectors.to(matrix.dtype)
        return product
