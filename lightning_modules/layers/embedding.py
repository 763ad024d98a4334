"""The input layer of models over categorical and numerical features."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, pad

from lightning_modules.layers.field_lookup import field_linear, look_up
from lightning_modules.layers.mlp import without_bias_gradient
from lightning_modules.layers.small_fields import SmallFieldReader

# A field's table is projected as a whole if it has so many times fewer indices than the batch has rows.
_ROWS_AN_INDEX = 4


class FieldEmbedding(nn.Module):
    """One vector for every categorical field, and one for all numerical features together.

    The fields share one table, in which each has its own rows, so that a batch is looked up at once; the numerical
    features go through one Linear layer. The table starts from Xavier's uniform distribution over its whole size.

    Args:
        field_sizes: Number of indices of every categorical field, that of unknown values included.
        num_numerical: Number of numerical features; 0 leaves their vector out.
        embedding_dim: Size of every vector.
        batch_norm: Whether all that reads the vectors are Linear layers whose outputs are normalised over the batch;
            the bias of the numerical features is then not trained, see
            :func:`~lightning_modules.layers.mlp.without_bias_gradient`.

    Attributes:
        num_fields: Number of vectors a row.
        out_features: Size of all vectors of a row together.

    Raises:
        ValueError: If a size is below 1, or there is neither a field nor a numerical feature.
    """

    offsets: Tensor

    def __init__(
        self, field_sizes: Sequence[int], num_numerical: int, embedding_dim: int, *, batch_norm: bool = False
    ) -> None:
        super().__init__()
        _check(field_sizes, num_numerical, embedding_dim)
        self.table = nn.Embedding(sum(field_sizes), embedding_dim) if field_sizes else None
        if self.table is not None:
            nn.init.xavier_uniform_(self.table.weight)
        self.numerical = nn.Linear(num_numerical, embedding_dim) if num_numerical else None
        if self.numerical is not None and batch_norm:
            without_bias_gradient(self.numerical)
        sizes = torch.tensor([0, *field_sizes], dtype=torch.int64)
        # The same for every model of these sizes, so that it need not be in the checkpoint.
        self.register_buffer("offsets", sizes.cumsum(0)[:-1], persistent=False)
        self.field_sizes = tuple(field_sizes)
        self.num_fields = len(field_sizes) + bool(num_numerical)
        self.out_features = self.num_fields * embedding_dim

    def forward(self, categorical: Tensor, numerical: Tensor) -> Tensor:
        """Return all vectors of every row.

        Args:
            categorical: Index of every row within each field, int64 [n, fields].
            numerical: Numerical features, float [n, features].

        Returns:
            Float [n, num_fields, embedding_dim], the numerical features' vector last.
        """
        if self.numerical is not None and self.table is not None and _only_evaluates():
            return self._vectors(self.table, categorical, self.numerical(numerical))
        vectors = []
        if self.table is not None:
            vectors.append(self.table(categorical + self.offsets))
        if self.numerical is not None:
            vectors.append(self.numerical(numerical).unsqueeze(1))
        return torch.cat(vectors, dim=1)

    def project(self, vectors: Tensor, categorical: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Return a Linear layer's output on all vectors of every row, in fewer operations where that pays.

        A small field has the same few vectors in many rows. On a CPU it is its table that goes through the layer, and
        the rows then pick and add up the results. The outputs are those of ``linear(vectors.flatten(1), weight, bias)``
        but for rounding; they can be differentiated once.

        Args:
            vectors: What this module returned for the rows, float [n, num_fields, embedding_dim].
            categorical: Index of every row within each field, int64 [n, fields].
            weight: The layer's weight, float [out, num_fields * embedding_dim].
            bias: The layer's bias, float [out].

        Returns:
            Float [n, out].
        """
        if self.table is not None and _only_evaluates() and self._small_fields(vectors):
            return self._evaluated(vectors, categorical, weight, bias)
        return self.reader(vectors, categorical)(weight, bias)

    def reader(self, vectors: Tensor, categorical: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
        """Return :meth:`project` for several layers that read the same rows: weight and bias -> float [n, out]."""
        small = self._small_fields(vectors)
        # In half precision the products cost less than the tables save.
        if self.table is None or not small or torch.is_autocast_enabled(vectors.device.type):
            return partial(linear, vectors.flatten(1))
        return SmallFieldReader(self.table(self._table_rows(small)), vectors, categorical, small, self.field_sizes)

    def _vectors(self, table: nn.Embedding, categorical: Tensor, numerical: Tensor) -> Tensor:
        """Return all vectors, looked up into the memory of all; to differentiate, it would take longer."""
        vectors: Tensor = table(pad(categorical + self.offsets, (0, 1)))
        vectors[:, -1] = numerical
        return vectors

    def _evaluated(self, vectors: Tensor, categorical: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Return the outputs where nothing learns, which then can do without vectors for every row of any field."""
        fields = len(self.field_sizes) * vectors.shape[2]
        lookup = look_up(categorical, self.offsets)
        outputs = field_linear(cast(nn.Embedding, self.table).weight, weight[:, :fields], lookup)
        if self.numerical is not None:
            outputs.addmm_(vectors[:, -1], weight[:, fields:].T)
        return outputs.add_(bias)

    def _table_rows(self, fields: list[int]) -> Tensor:
        """Return the numbers of the fields' rows in the table, looked up because slices cost far more backwards."""
        starts = self.offsets.tolist()
        return torch.cat([torch.arange(starts[field], starts[field] + self.field_sizes[field]) for field in fields])

    def _small_fields(self, vectors: Tensor) -> list[int]:
        """Return the fields whose tables cost less to project than their rows."""
        # A traced model must not depend on the number of rows that it was traced with.
        if vectors.device.type != "cpu" or torch.compiler.is_compiling():
            return []
        return [field for field, size in enumerate(self.field_sizes) if _ROWS_AN_INDEX * size <= len(vectors)]


def _only_evaluates() -> bool:
    return not torch.is_grad_enabled() and not torch.compiler.is_compiling()


def _check(field_sizes: Sequence[int], num_numerical: int, embedding_dim: int) -> None:
    if min([*field_sizes, embedding_dim]) < 1 or num_numerical < 0:
        raise ValueError(
            "fields and embeddings need positive sizes, and there are no fewer than 0 numerical features; got "
            f"field_sizes={list(field_sizes)}, embedding_dim={embedding_dim}, num_numerical={num_numerical}"
        )
    if not field_sizes and not num_numerical:
        raise ValueError("a model needs input: name at least one categorical field or one numerical feature")
