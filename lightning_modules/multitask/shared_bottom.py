"""Hard parameter sharing: one bottom network, one tower a task."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from lightning_modules.layers import FieldEmbedding
from lightning_modules.multitask.tower_model import TowerModel


class SharedBottom(TowerModel):
    """A bottom network that all tasks share, and a tower for each.

    Caruana, "Multitask Learning", Machine Learning 28, 1997 (https://doi.org/10.1023/A:1007379606734):
    ``logit_k = tower_k(bottom(x))``, where ``x`` is the concatenation of the embedded fields and features. Takes
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
        self.embedding = FieldEmbedding(field_sizes, num_numerical, self.embedding_dim, batch_norm=self.batch_norm)
        self.bottom = self.make_bottoms(1, self.embedding.out_features)
        self.towers = self.make_towers(len(self.tasks), self.bottom.out_features)

    def forward(self, categorical: Tensor, numerical: Tensor) -> Tensor:
        """Return the logit of every task: int64 [n, fields], float [n, features] -> float [n, tasks]."""
        vectors = self.embedding(categorical, numerical)
        features = self.bottom.read_fields(self.embedding, vectors, categorical).squeeze(1)
        logits: Tensor = self.towers(features)
        return logits.squeeze(-1)
