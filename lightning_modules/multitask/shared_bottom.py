"""One network below, one tower a task above."""

from collections.abc import Sequence

from pytorch_lightning.cli import OptimizerCallable
from torch import Tensor

from lightning_modules.layers import FieldEmbedding, ParallelMLP
from lightning_modules.losses import Loss
from lightning_modules.multitask.base import MultiTaskModel
from lightning_modules.multitask.weighting import TaskWeighting


class SharedBottom(MultiTaskModel):
    """A bottom network that all tasks share, and a tower for each.

    Caruana, "Multitask Learning", Machine Learning 28, 1997 (https://doi.org/10.1023/A:1007379606734):
    ``logit_k = tower_k(bottom(x))``, where ``x`` is the concatenation of the embedded fields and features. Takes
    ``categorical`` int64 [n, fields] and ``numerical`` float [n, features], returns logits float [n, tasks].

    Args:
        field_sizes: See :class:`MultiTaskModel`.
        num_numerical: See :class:`MultiTaskModel`.
        tasks: See :class:`MultiTaskModel`.
        embedding_dim: Size of every field's embedding, and of the one of all numerical features.
        bottom_dims: Size of every hidden layer of the bottom, first to last.
        tower_dims: Size of every hidden layer of a tower, first to last; a Linear layer to the logit follows.
        dropout: Share of hidden units that are dropped in training.
        batch_norm: Whether hidden layers are normalised over the batch.
        loss: See :class:`MultiTaskModel`.
        weighting: See :class:`MultiTaskModel`.
        optimizer: See :class:`MultiTaskModel`.
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
        loss: Loss | list[Loss] | None = None,
        weighting: TaskWeighting | None = None,
        optimizer: OptimizerCallable | None = None,
    ) -> None:
        super().__init__(field_sizes, num_numerical, tasks, loss=loss, weighting=weighting, optimizer=optimizer)
        self.embedding = FieldEmbedding(field_sizes, num_numerical, embedding_dim, batch_norm=batch_norm)
        self.bottom = ParallelMLP(1, self.embedding.out_features, bottom_dims, dropout=dropout, batch_norm=batch_norm)
        self.towers = ParallelMLP(
            len(self.tasks),
            self.bottom.out_features,
            tower_dims,
            dropout=dropout,
            batch_norm=batch_norm,
            output_features=1,
        )

    def forward(self, categorical: Tensor, numerical: Tensor) -> Tensor:
        """Return the logit of every task: int64 [n, fields], float [n, features] -> float [n, tasks]."""
        vectors = self.embedding(categorical, numerical)
        features = self.bottom.read_fields(self.embedding, vectors, categorical).squeeze(1)
        logits: Tensor = self.towers(features)
        return logits.squeeze(-1)
