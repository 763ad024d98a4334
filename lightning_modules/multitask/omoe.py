"""Experts behind one gate."""

from collections.abc import Sequence

from pytorch_lightning.cli import OptimizerCallable
from torch import Tensor

from lightning_modules.layers import FieldEmbedding, Gates, ParallelMLP, mix
from lightning_modules.losses import Loss
from lightning_modules.multitask.base import MultiTaskModel
from lightning_modules.multitask.weighting import TaskWeighting


class OMoE(MultiTaskModel):
    """A mixture of experts with one gate, so that all tasks read the same mixture.

    The one-gate model that Ma et al., "Modeling Task Relationships in Multi-task Learning with Multi-gate
    Mixture-of-Experts", KDD 2018 (https://doi.org/10.1145/3219819.3220007) compare with, after Jacobs et al., "Adaptive
    Mixtures of Local Experts", Neural Computation 3(1), 1991:
    ``logit_k = tower_k(sum_e g_e expert_e(x))``, ``g = softmax(W x + b)``. Takes
    ``categorical`` int64 [n, fields] and ``numerical`` float [n, features], returns logits float [n, tasks].

    Args:
        field_sizes: See :class:`MultiTaskModel`.
        num_numerical: See :class:`MultiTaskModel`.
        tasks: See :class:`MultiTaskModel`.
        embedding_dim: Size of every field's embedding, and of the one of all numerical features.
        bottom_dims: Size of every hidden layer of an expert, first to last.
        tower_dims: Size of every hidden layer of a tower, first to last; a Linear layer to the logit follows.
        num_experts: Number of experts.
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
        num_experts: int = 8,
        dropout: float = 0.2,
        batch_norm: bool = True,
        loss: Loss | list[Loss] | None = None,
        weighting: TaskWeighting | None = None,
        optimizer: OptimizerCallable | None = None,
    ) -> None:
        super().__init__(field_sizes, num_numerical, tasks, loss=loss, weighting=weighting, optimizer=optimizer)
        self.embedding = FieldEmbedding(field_sizes, num_numerical, embedding_dim)
        self.experts = ParallelMLP(
            num_experts, self.embedding.out_features, bottom_dims, dropout=dropout, batch_norm=batch_norm
        )
        expert_names = [f"expert_{index}" for index in range(num_experts)]
        self.gates = Gates(self.embedding.out_features, ["all"], expert_names)
        self.towers = ParallelMLP(
            len(self.tasks),
            self.experts.out_features,
            tower_dims,
            dropout=dropout,
            batch_norm=batch_norm,
            output_features=1,
        )

    def forward(self, categorical: Tensor, numerical: Tensor) -> Tensor:
        """Return the logit of every task: int64 [n, fields], float [n, features] -> float [n, tasks]."""
        vectors = self.embedding(categorical, numerical)
        experts = self.experts.read_fields(self.embedding, vectors, categorical)
        mixture = mix(self.gates(vectors.flatten(1)), experts).squeeze(1)
        logits: Tensor = self.towers(mixture)
        return logits.squeeze(-1)
