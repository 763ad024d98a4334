"""A Linear layer over embedded fields, computed once for each different category of a batch."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import embedding, embedding_bag, linear

from lightning_modules.layers.table_gradient import TableGradient, new_gradient


class FieldLookup(NamedTuple):
    """Where the vectors of a batch's categories lie, for all embeddings of the same fields.

    Attributes:
        table_row: Row of every category in the table of all fields, int64, shape [n, fields].
        distinct: The rows that occur; None where they are not told apart, since that does not pay.
    """

    table_row: Tensor
    distinct: "DistinctRows | None"


class DistinctRows(NamedTuple):
    """The rows of a table that occur in a batch, each once and in order.

    Attributes:
        rows: The rows, int64, shape [rows].
        place: Place of every category among them, int64, shape [n, fields].
        counts: How many of them belong to each field.
        readers: Numbers of the batch's rows that have the first of them, then the second, and so on, int64, shape
            [n * fields].
        starts: Where the readers of each begin, int64, shape [rows].
    """

    rows: Tensor
    place: Tensor
    counts: Sequence[int]
    readers: Tensor
    starts: Tensor


def look_up(categorical: Tensor, offsets: Tensor) -> FieldLookup:
    """Find the different categories of a batch.

    Args:
        categorical: Index of every row within each field, int64, shape [n, fields].
        offsets: First row of every field in the table, int64, shape [fields].
    """
    index = categorical + offsets
    # An accelerator multiplies faster than it could wait for the number of different categories.
    pays = index.device.type == "cpu" and index.numel() > 0
    return FieldLookup(index, _distinct_rows(index, offsets) if pays else None)


def _distinct_rows(index: Tensor, offsets: Tensor) -> DistinctRows:
    ordered, order = index.flatten().sort(stable=True)
    rows, inverse, occurrences = torch.unique_consecutive(ordered, return_inverse=True, return_counts=True)
    place = torch.empty_like(order).index_copy_(0, order, inverse).view_as(index)
    bounds = [*torch.searchsorted(rows, offsets).tolist(), len(rows)]
    counts = [end - begin for begin, end in pairwise(bounds)]
    return DistinctRows(rows, place, counts, order // index.shape[1], occurrences.cumsum(0) - occurrences)


def field_linear(
    table: Tensor, weight: Tensor, lookup: FieldLookup, table_gradient: TableGradient = new_gradient
) -> Tensor:
    """Return ``embedding(index, table).flatten(1) @ weight.T``; it can be differentiated once.

    Args:
        table: Vectors of the categories of all fields, float [categories, dim].
        weight: Float [out, fields * dim].
        lookup: What :func:`look_up` found for the rows.
        table_gradient: Puts the table's gradient together.

    Returns:
        Float [n, out].
    """
    if lookup.distinct is None:
        return linear(embedding(lookup.table_row, table).flatten(1), weight)
    # torch gives `apply` no types.
    outputs: Tensor = _FieldLinear.apply(table, weight, lookup.distinct, table_gradient)  # type: ignore[no-untyped-call]
    return outputs


class _FieldLinear(torch.autograd.Function):
    """One product for each different category of each field.

    With plain operations the gradients of a table and a weight in parts would be put together from copies as large as
    the whole.
    """

    @staticmethod
    def forward(
        ctx: Any, table: Tensor, weight: Tensor, distinct: DistinctRows, table_gradient: TableGradient
    ) -> Tensor:
        vectors = table.index_select(0, distinct.rows)
        projected = vectors.new_empty(len(vectors), len(weight))
        counts = distinct.counts
        parts = zip(vectors.split(counts), weight.split(table.shape[1], 1), projected.split(counts), strict=True)
        for vector, part, output in parts:
            torch.mm(vector, part.T, out=output)
        ctx.save_for_backward(vectors, weight)
        ctx.distinct, ctx.num_rows, ctx.table_gradient = distinct, len(table), table_gradient
        return embedding_bag(distinct.place, projected, mode="sum")

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        vectors, weight = ctx.saved_tensors
        distinct = ctx.distinct
        projected = embedding_bag(distinct.readers, gradient, distinct.starts, mode="sum")
        of_vectors, of_weight = torch.empty_like(vectors), torch.empty_like(weight)
        parts = [each.split(distinct.counts) for each in (vectors, projected, of_vectors)]
        columns = [each.split(vectors.shape[1], 1) for each in (weight, of_weight)]
        for vector, output, of_vector, part, of_part in zip(*parts, *columns, strict=True):
            torch.mm(output, part, out=of_vector)
            torch.mm(output.T, vector, out=of_part)
        return ctx.table_gradient(ctx.num_rows, distinct.rows, of_vectors), of_weight, None, None
