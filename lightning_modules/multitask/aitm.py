"""Attention along a funnel: every task reads features of the task before it."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lightning_modules.layers import FieldEmbedding
from lightning_modules.layers.mlp import without_bias_gradient
from lightning_modules.multitask.tower_model import TowerModel


class AITM(TowerModel):
    """Tasks in the order of a funnel, each of which attends to the features of the task before it.

    Xi et al., "Modeling the Sequential Dependence among Audience Multi-step Conversions with Multi-task Learning in
    Targeted Display Advertising", KDD 2021 (https://arxiv.org/abs/2105.08489): with ``f_k = bottom_k(x)``, the first
    task reads ``h_0 = f_0``, every other ``h_k``, the attention (:class:`Transfer`) over ``f_k`` and what ``h_(k-1)``
    hands on, and ``logit_k = tower_k(h_k)``. Takes
    ``categorical`` int64 [n, fields] and ``numerical`` float [n, features], returns logits float [n, tasks].

    The paper also penalises probabilities that rise along the tasks, which is left to the loss here.

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
        self.embedding = FieldEmbedding(field_sizes, num_numerical, self.embedding_dim, batch_norm=self.batch_norm)
        self.bottoms = self.make_bottoms(len(self.tasks), self.embedding.out_features)
        width = self.bottoms.out_features
        self.handovers = nn.ModuleList(nn.Linear(width, width) for _ in self.tasks[1:])
        # One for all tasks, as published; a single task hands nothing on.
        self.transfer = Transfer(width) if len(self.tasks) > 1 else None
        self.towers = self.make_towers(len(self.tasks), width)
        if self.transfer is not None and len(self.tasks) == 2 and self.batch_norm and self.tower_dims:
            # Weights that add up to 1 pass it on as it is, and only to a tower that normalises its inputs' products.
            without_bias_gradient(self.transfer.value)

    def forward(self, categorical: Tensor, numerical: Tensor) -> Tensor:
        """Return the logit of every task: int64 [n, fields], float [n, features] -> float [n, tasks]."""
        vectors = self.embedding(categorical, numerical)
        features = self.bottoms.read_fields(self.embedding, vectors, categorical)
        logits: Tensor = self.towers(self._handed_on(features))
        return logits.squeeze(-1)

    def _handed_on(self, features: Tensor) -> Tensor:
        """Return every task's features after the attention, both [n, tasks, width]."""
        if self.transfer is None:
            return features
        first, *rest = features.unbind(1)
        handed_on = [first]
        for handover, own in zip(self.handovers, rest, strict=True):
            handed_on.append(self.transfer(torch.stack([handover(handed_on[-1]), own], dim=1)))
        return torch.stack(handed_on, dim=1)


class Transfer(nn.Module):
    """Attention over pairs ``u`` of vectors: ``sum_u w_u V(u)``, ``w = softmax_u(K(u) . Q(u) / sqrt(width))``.

    Args:
        width: Size of the vectors.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.value, self.key, self.query = nn.Linear(width, width), nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, pairs: Tensor) -> Tensor:
        """Return the attended values: [n, 2, width] -> [n, width]."""
        return torch.einsum("np,npw->nw", self.weights(pairs), self.value(pairs))

    def weights(self, pairs: Tensor) -> Tensor:
        """Return the weight of each vector of the pairs: [n, 2, width] -> [n, 2]."""
        scores = (self.key(pairs) * self.query(pairs)).sum(dim=-1)
        return torch.softmax(scores / pairs.shape[-1] ** 0.5, dim=-1)
