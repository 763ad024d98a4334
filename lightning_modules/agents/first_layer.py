"""The first layer of a critic, computed on what differs between rows alone."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import embedding_bag, linear

from lightning_modules.layers import FieldEmbedding


class FieldLookup(NamedTuple):
    """Where the vectors of a batch's categories lie, for all embeddings of the same fields.

    Attributes:
        table_row: Row of every category in the table of all fields, int64, shape [n, fields].
        rows: The rows that occur, each once and in order, int64, shape [rows].
        place: Place of every category among them, int64, shape [n, fields].
        counts: How many of them belong to each field; empty where the rows are not told apart, since that does not pay.
    """

    table_row: Tensor
    rows: Tensor
    place: Tensor
    counts: Sequence[int]


def look_up(categorical: Tensor, offsets: Tensor) -> FieldLookup:
    """Find the different categories of a batch.

    Args:
        categorical: Index of every row within each field, int64, shape [n, fields].
        offsets: First row of every field in the table, int64, shape [fields].
    """
    index = categorical + offsets
    # An accelerator multiplies faster than it could wait for the number of different categories.
    if index.device.type != "cpu" or not index.numel():
        return FieldLookup(index, index, index, ())
    rows, place = torch.unique(index, return_inverse=True)
    bounds = [*torch.searchsorted(rows, offsets).tolist(), len(rows)]
    return FieldLookup(index, rows, place, [end - begin for begin, end in pairwise(bounds)])


def first_layer(
    embedding: FieldEmbedding, action_layer: nn.Linear, layer: nn.Linear, lookup: FieldLookup, *inputs: Tensor
) -> Tensor:
    """Return ``layer([embedded fields, embedded numerical features, embedded action])`` in fewer operations.

    The same category has the same vector in many rows: on a CPU each goes through the layer once, and the rows pick and
    add up the results. The embeddings of numbers are linear, so they and the layer are multiplied with each other
    rather than with the rows. Equal to the plain form but for rounding; it can be differentiated once.

    Args:
        embedding: Embeds fields and numerical features.
        action_layer: Embeds the action.
        layer: The layer that reads the concatenated vectors.
        lookup: What :func:`look_up` found for the rows.
        inputs: Numerical features, float [n, features], and the action, float [n].

    Returns:
        Float [n, out].
    """
    numerical, action = inputs
    size = action_layer.out_features
    fields, *numbers = layer.weight.split(_widths(embedding, size), dim=1)
    layers = [*([embedding.numerical] if embedding.numerical is not None else []), action_layer]
    weight = torch.cat([part @ each.weight for part, each in zip(numbers, layers, strict=True)], dim=1)
    bias = layer.bias + sum(part @ each.bias for part, each in zip(numbers, layers, strict=True))
    outputs = linear(torch.cat([numerical, action.unsqueeze(1)], dim=1), weight, bias)
    return outputs if embedding.table is None else outputs + _fields(embedding.table.weight, fields, lookup)


def _widths(embedding: FieldEmbedding, size: int) -> list[int]:
    numbers = [size] * (1 if embedding.numerical is None else 2)
    return [len(embedding.field_sizes) * size, *numbers]


def _fields(table: Tensor, weight: Tensor, lookup: FieldLookup) -> Tensor:
    if not lookup.counts:
        return linear(nn.functional.embedding(lookup.table_row, table).flatten(1), weight)
    return _FieldLinear.apply(table, weight, lookup.rows, lookup.place, lookup.counts)


class _FieldLinear(torch.autograd.Function):
    """``embedding(index, table).flatten(1) @ weight.T``, one product for each different category of each field.

    With plain operations the gradients of a table and a weight in parts would be put together from copies as large as
    the whole.
    """

    @staticmethod
    def forward(ctx: Any, table: Tensor, weight: Tensor, rows: Tensor, place: Tensor, counts: Sequence[int]) -> Tensor:
        vectors = table.index_select(0, rows)
        projected = vectors.new_empty(len(rows), len(weight))
        parts = zip(vectors.split(counts), weight.split(table.shape[1], 1), projected.split(counts), strict=True)
        for vector, part, output in parts:
            torch.mm(vector, part.T, out=output)
        ctx.save_for_backward(vectors, weight, rows, place)
        ctx.counts, ctx.num_rows = counts, len(table)
        return embedding_bag(place, projected, mode="sum")

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        vectors, weight, rows, place = ctx.saved_tensors
        projected = gradient.new_zeros(len(rows), len(weight))
        for column in place.unbind(1):
            projected.index_add_(0, column, gradient)
        of_vectors, of_weight = torch.empty_like(vectors), torch.empty_like(weight)
        parts = [each.split(ctx.counts) for each in (vectors, projected, of_vectors)]
        columns = [each.split(vectors.shape[1], 1) for each in (weight, of_weight)]
        for vector, output, of_vector, part, of_part in zip(*parts, *columns, strict=True):
            torch.mm(output, part, out=of_vector)
            torch.mm(output.T, vector, out=of_part)
        of_table = gradient.new_zeros(ctx.num_rows, vectors.shape[1])
        return of_table.index_copy_(0, rows, of_vectors), of_weight, None, None, None
