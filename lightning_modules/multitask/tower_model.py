"""The networks that multi-task models are built of."""

from collections.abc import Sequence
from typing import Any

from lightning_modules.layers import ParallelMLP
from lightning_modules.multitask.base import MultiTaskModel


class TowerModel(MultiTaskModel):
    """A model of embedded fields, hidden layers below, called bottoms or experts, and towers above.

    A subclass makes its networks in its constructor.

    Args:
        field_sizes: See :class:`MultiTaskModel`.
        num_numerical: See :class:`MultiTaskModel`.
        tasks: See :class:`MultiTaskModel`.
        embedding_dim: Size of every field's embedding, and of the one of all numerical features.
        bottom_dims: Size of every hidden layer of a bottom or an expert, first to last.
        tower_dims: Size of every hidden layer of a tower, first to last; a Linear layer to the logit follows.
        dropout: Share of hidden units that are dropped in training.
        batch_norm: Whether hidden layers are normalised over the batch.
        options: The other arguments of :class:`MultiTaskModel`.
    """

    def __init__(
        self,
        field_sizes: Sequence[int],
        num_numerical: int,
        tasks: Sequence[str],
        *,
        embedding_dim: int = 128,
        bottom_dims: Sequence[int] = (512, 256),
        tower_dims: Sequence[int] = (128, 64),
        dropout: float = 0.2,
        batch_norm: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(field_sizes, num_numerical, tasks, **options)
        self.embedding_dim = embedding_dim
        self.bottom_dims, self.tower_dims = tuple(bottom_dims), tuple(tower_dims)
        self.dropout, self.batch_norm = dropout, batch_norm

    def make_bottoms(self, count: int, in_features: int) -> ParallelMLP:
        """Return new networks side by side: [n, in] or [n, networks, in] -> [n, networks, out]."""
        return ParallelMLP(count, in_features, self.bottom_dims, dropout=self.dropout, batch_norm=self.batch_norm)

    def make_towers(self, count: int, in_features: int) -> ParallelMLP:
        """Return new networks side by side that end in a logit: [n, in] or [n, networks, in] -> [n, networks, 1]."""
        return ParallelMLP(
            count, in_features, self.tower_dims, dropout=self.dropout, batch_norm=self.batch_norm, output_features=1
        )
