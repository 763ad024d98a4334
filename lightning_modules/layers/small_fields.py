"""Linear layers over embedded fields some of which have few categories, each of them in many rows of a batch."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import embedding_bag


class _Places(NamedTuple):
    """Where a batch's rows find the categories of its small fields, and these their rows.

    Attributes:
        small: Numbers of the small fields.
        sizes: Number of categories of each.
        large: Numbers of all other vectors.
        category: Every row's category of each small field, counted through all of them, int64 [n, small].
        readers: The rows of the first category, then of the second, and so on, int64 [n * small].
        starts: Where the rows of every category begin, int64 [categories].
    """

    small: Sequence[int]
    sizes: Sequence[int]
    large: Sequence[int]
    category: Tensor
    readers: Tensor
    starts: Tensor

    @classmethod
    def of(cls, categorical: Tensor, small: Sequence[int], field_sizes: Sequence[int], num_vectors: int) -> "_Places":
        sizes = [field_sizes[field] for field in small]
        ends = torch.tensor(sizes).cumsum(0)
        category = categorical[:, list(small)] + (ends - torch.tensor(sizes))
        readers = category.flatten().argsort(stable=True) // len(small)
        counts = torch.bincount(category.flatten(), minlength=int(ends[-1]))
        large = [field for field in range(num_vectors) if field not in small]
        return cls(small, sizes, large, category, readers, counts.cumsum(0) - counts)


class SmallFieldReader:
    """Linear layers over the vectors of a batch's rows, each computed once for every category of the small fields.

    Args:
        table: Vectors of the categories of all small fields, float [categories, dim].
        vectors: All vectors of every row, those of the small fields included, float [n, vectors, dim].
        categorical: Index of every row within each field, int64 [n, fields].
        small: Numbers of the small fields, at least one.
        field_sizes: Number of categories of every field.
    """

    def __init__(
        self, table: Tensor, vectors: Tensor, categorical: Tensor, small: Sequence[int], field_sizes: Sequence[int]
    ) -> None:
        self._table = table
        self._num_vectors = vectors.shape[1]
        self._places = _Places.of(categorical, small, field_sizes, self._num_vectors)
        self._large = vectors[:, self._places.large].flatten(1)

    def __call__(self, weight: Tensor, bias: Tensor) -> Tensor:
        """Return ``linear(vectors.flatten(1), weight, bias)`` but for rounding, float [n, out]; differentiable once."""
        by_vector = weight.unflatten(1, (self._num_vectors, -1))
        # torch gives `apply` no types.
        outputs: Tensor = _SmallFieldLinear.apply(self._table, self._large, by_vector, bias, self._places)  # type: ignore[no-untyped-call]
        return outputs


class _SmallFieldLinear(torch.autograd.Function):
    """The layer's output and gradients, put together in place: plain operations would copy the weight's parts."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, large: Tensor, weight: Tensor, bias: Tensor, places: _Places) -> Tensor:
        projected = table.new_empty(len(table), len(weight))
        parts = zip(places.small, table.split(places.sizes), projected.split(places.sizes), strict=True)
        for field, part, output in parts:
            torch.mm(part, weight[:, field].T, out=output)
        # A row has one category of each field, so that the bias added to one field's categories reaches it once.
        projected[: places.sizes[0]] += bias
        ctx.save_for_backward(table, large, weight)
        ctx.places = places
        return embedding_bag(places.category, projected, mode="sum").addmm_(large, _columns(weight, places.large).T)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        table, large, weight = ctx.saved_tensors
        places = ctx.places
        of_table, of_weight = torch.empty_like(table), torch.empty_like(weight)
        projected = embedding_bag(places.readers, gradient, places.starts, mode="sum")
        parts = zip(places.small, *(each.split(places.sizes) for each in (table, projected, of_table)), strict=True)
        for field, part, output, of_part in parts:
            torch.mm(output, weight[:, field], out=of_part)
            of_weight[:, field] = output.T @ part
        of_weight[:, places.large] = (gradient.T @ large).unflatten(1, (len(places.large), table.shape[1]))
        of_large = gradient @ _columns(weight, places.large)
        of_bias = gradient.sum(0) if ctx.needs_input_grad[3] else None
        return of_table, of_large, of_weight, of_bias, None


def _columns(weight: Tensor, large: Sequence[int]) -> Tensor:
    return weight[:, list(large)].flatten(1)
