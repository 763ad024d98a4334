"""The single-task baseline: a separate model for every task."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lightning_modules.layers import FieldEmbedding
from lightning_modules.multitask.tower_model import TowerModel


class SingleTask(TowerModel):
    """Separate models of the tasks, trained side by side: the baseline of multi-task models.

    ``logit_k = tower_k(bottom_k(x_k))``, where ``x_k`` is the concatenation of the fields and features as task ``k``
    embeds them. With one loss a task and without a weighting that learns, each model is what it would be if trained
    alone with the same learning rate and its share of the weight. Takes
    ``categorical`` int64 [n, fields] and ``numerical`` float [n, features], returns logits float [n, tasks].

    Args:
        field_sizes: See :class:`MultiTaskModel`.
        num_numerical: See :class:`MultiTaskModel`.
        tasks: See :class:`MultiTaskModel`.
        options: The other arguments of :class:`TowerModel`.
    """

    def __init__(
        self,
        field_sizes: Sequence[int],
        num_numerical: int,
        tasks: Sequence[str],
        **options: Any,
    ) -> None:
        super().__init__(field_sizes, num_numerical, tasks, **options)
        embeddings = [
            FieldEmbedding(field_sizes, num_numerical, self.embedding_dim, batch_norm=self.batch_norm)
            for _ in self.tasks
        ]
        self.embeddings = nn.ModuleList(embeddings)
        width = embeddings[0].out_features
        self.bottoms = self.make_bottoms(len(self.tasks), width)
        self.towers = self.make_towers(len(self.tasks), self.bottoms.out_features)

    def forward(self, categorical: Tensor, numerical: Tensor) -> Tensor:
        """Return the logit of every task: int64 [n, fields], float [n, features] -> float [n, tasks]."""
        inputs = [embedding(categorical, numerical).flatten(1) for embedding in self.embeddings]
        logits: Tensor = self.towers(self.bottoms(torch.stack(inputs, dim=1)))
        return logits.squeeze(-1)
