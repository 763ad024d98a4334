"""A mixture of experts with a gate for each task."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from lightning_modules.layers import FieldEmbedding, Gates, mix
from lightning_modules.multitask.tower_model import TowerModel


class MMoE(TowerModel):
    """A mixture of experts with a gate for each task.

    Ma et al., "Modeling Task Relationships in Multi-task Learning with Multi-gate Mixture-of-Experts", KDD 2018
    (https://doi.org/10.1145/3219819.3220007): ``logit_k = tower_k(sum_e g_ke expert_e(x))``,
    ``g_k = softmax(W_k x + b_k)``. Takes ``categorical`` int64 [n, fields] and ``numerical`` float [n, features],
    returns logits float [n, tasks].

    The paper's gates have no bias ``b_k``.

    Args:
        field_sizes: See :class:`MultiTaskModel`.
        num_numerical: See :class:`MultiTaskModel`.
        tasks: See :class:`MultiTaskModel`.
        num_experts: Number of experts.
        options: The other arguments of :class:`TowerModel`.
    """

    def __init__(
        self,
        field_sizes: Sequence[int],
        num_numerical: int,
        tasks: Sequence[str],
        *,
        num_experts: int = 8,
        **options: Any,
    ) -> None:
        super().__init__(field_sizes, num_numerical, tasks, **options)
        self.embedding = FieldEmbedding(field_sizes, num_numerical, self.embedding_dim)
        self.experts = self.make_bottoms(num_experts, self.embedding.out_features)
        expert_names = [f"expert_{index}" for index in range(num_experts)]
        self.gates = Gates(self.embedding.out_features, self.gate_names(), expert_names)
        self.towers = self.make_towers(len(self.tasks), self.experts.out_features)

    def gate_names(self) -> Sequence[str]:
        """Return the name of every gate: one for each task, or a single one that all tasks share."""
        return self.tasks

    def forward(self, categorical: Tensor, numerical: Tensor) -> Tensor:
        """Return the logit of every task: int64 [n, fields], float [n, features] -> float [n, tasks]."""
        vectors = self.embedding(categorical, numerical)
        experts = self.experts.read_fields(self.embedding, vectors, categorical)
        mixture = mix(self.gates(vectors.flatten(1)), experts)
        # Of a single gate [n, features], which all towers read.
        logits: Tensor = self.towers(mixture[:, 0] if mixture.shape[1] == 1 else mixture)
        return logits.squeeze(-1)
