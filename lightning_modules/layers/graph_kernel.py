"""A compiled loop over the edges of some nodes that adds to their neighbours, for processors."""

from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from lightning_modules.utilities.compiled import compiled

_Floats = npt.NDArray[np.floating[Any]]
_Integers = npt.NDArray[np.integer[Any]]


def add_to_neighbours(
    vectors: Tensor, node: Tensor, first: Tensor, neighbour: Tensor, weight: Tensor, result: Tensor
) -> None:
    """Add the vector of each of some nodes to its neighbours' rows, each times the weight of the edge.

    Args:
        vectors: Of the nodes, float [n, d].
        node: The nodes, int64 [n].
        first: First edge of every node, and the number of all, integers [num_nodes + 1].
        neighbour: Other end of every edge, integers [edges].
        weight: Weight of every edge, float [edges].
        result: What is added to, float [num_nodes, d].
    """
    _add(*(each.numpy() for each in (vectors.contiguous(), node, first, neighbour, weight, result)))


@compiled
def _add(
    vectors: _Floats, node: _Integers, first: _Integers, neighbour: _Integers, weight: _Floats, result: _Floats
) -> None:
    for place in range(len(node)):
        for edge in range(first[node[place]], first[node[place] + 1]):
            row, factor = neighbour[edge], weight[edge]
            for column in range(vectors.shape[1]):
                result[row, column] += factor * vectors[place, column]
