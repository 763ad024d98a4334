"""One model of its own for every task."""

from collections.abc import Sequence

import torch
from pytorch_lightning.cli import OptimizerCallable
from torch import Tensor, nn

from lightning_modules.layers import FieldEmbedding, ParallelMLP
from lightning_modules.losses import Loss
from lightning_modules.multitask.base import MultiTaskModel
from lightning_modules.multitask.weighting import TaskWeighting


class SingleTask(MultiTaskModel):
    """Models that share nothing, trained side by side: what multi-task models are held against.

    ``logit_k = tower_k(bottom_k(x_k))``, where ``x_k`` is the concatenation of the fields and features as task ``k``
    embeds them. With one loss a task and without a weighting that learns, each model is what it would be if trained
    alone with the same learning rate and its share of the weight. Takes
    ``categorical`` int64 [n, fields] and ``numerical`` float [n, features], returns logits float [n, tasks].

    Args:
        field_sizes: See :class:`MultiTaskModel`.
        num_numerical: See :class:`MultiTaskModel`.
        tasks: See :class:`MultiTaskModel`.
        embedding_dim: Size of every field's embedding, and of the one of all numerical features.
        bottom_dims: Size of every hidden layer of a task's bottom, first to last.
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
        embeddings = [
            FieldEmbedding(field_sizes, num_numerical, embedding_dim, batch_norm=batch_norm) for _ in self.tasks
        ]
        self.embeddings = nn.ModuleList(embeddings)
        width = embeddings[0].out_features
        self.bottoms = ParallelMLP(len(self.tasks), width, bottom_dims, dropout=dropout, batch_norm=batch_norm)
        self.towers = ParallelMLP(
            len(self.tasks),
            self.bottoms.out_features,
            tower_dims,
            dropout=dropout,
            batch_norm=batch_norm,
            output_features=1,
        )

    def forward(self, categorical: Tensor, numerical: Tensor) -> Tensor:
        """Return the logit of every task: int64 [n, fields], float [n, features] -> float [n, tasks]."""
        inputs = [embedding(categorical, numerical).flatten(1) for embedding in self.embeddings]
        logits: Tensor = self.towers(self.bottoms(torch.stack(inputs, dim=1)))
        return logits.squeeze(-1)
