"""LightGCN: vectors that are spread over the graph of users and items."""

from typing import Any

import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from torch import Tensor

from lightning_modules.core.inference import InferenceGraph
from lightning_modules.layers.graph import InteractionGraph
from lightning_modules.recommenders.base import normal_embedding
from lightning_modules.recommenders.inference import VectorGraph
from lightning_modules.recommenders.top_n import TopNRecommender

#: What a checkpoint holds of the graph: the vectors as they are scored, of users before items.
_VECTORS = "catalogue_vectors"


class LightGCN(TopNRecommender):
    """A light graph convolution network.

    He et al., "LightGCN: Simplifying and Powering Graph Convolution Network for Recommendation", SIGIR 2020
    (https://arxiv.org/abs/2002.02126): the vectors of layer 0 are learned, those of layer l + 1 are
    ``D^(-1/2) A D^(-1/2)`` times those of layer l, with the graph of the training items, and the vectors of a user or
    item that are scored are the mean over its layers. The paper trains on BPR and scores by ``dot``.

    Args:
        num_users: Number of users.
        num_items: Number of items.
        embedding_dim: Size of the vectors.
        num_layers: Number of steps of propagation; with 0 it is :class:`MF`.
        init_std: Standard deviation of the initial vectors.
        options: The other arguments of :class:`TopNRecommender`.

    Raises:
        ValueError: If there are fewer than 0 layers.
        MisconfigurationException: If the data module does not give the training items that the graph is made of.
    """

    def __init__(
        self,
        num_users: int,
        num_items: int,
        *,
        embedding_dim: int = 64,
        num_layers: int = 2,
        init_std: float = 0.1,
        **options: Any,
    ) -> None:
        super().__init__(num_users, num_items, **options)
        if num_layers < 0:
            raise ValueError(f"num_layers is the number of steps of propagation, at least 0, got {num_layers}")
        self.num_layers = num_layers
        self.user_embedding = normal_embedding(num_users, embedding_dim, std=init_std)
        self.item_embedding = normal_embedding(num_items, embedding_dim, std=init_std)
        self.graph: InteractionGraph | None = None
        self._stored_vectors: Tensor | None = None

    def setup(self, stage: str) -> None:
        """Build the graph of the training items."""
        super().setup(stage)
        items = self.training_items()
        self.build_graph(items.user, items.item)

    def build_graph(self, user: Tensor, item: Tensor) -> None:
        """Build the graph of different pairs of a user and an item, two tensors int64 [n]; a Trainer sees to it."""
        self.graph = InteractionGraph(user, item, self.num_users, self.num_items).to(self.device)

    def forward(self, user: Tensor | None, item: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return vectors of users and items, as they are scored: int64 [n] and [m] -> float [n, d] and [m, d]."""
        if user is not None and item is not None:
            return self._of_batch(user, item)
        users, items = self._propagated(None).split([self.num_users, self.num_items])
        users = users if user is None else users[user]
        items = items if item is None else items[item]
        return self.as_scored(users), self.as_scored(items)

    def _of_batch(self, user: Tensor, item: Tensor) -> tuple[Tensor, Tensor]:
        """Return vectors of some users and items, each computed once, however often it is named."""
        node, place = torch.cat([user, item + self.num_users]).unique(return_inverse=True)
        users, items = self.as_scored(self._propagated(node)).index_select(0, place).split([len(user), len(item)])
        return users, items

    def inference_graph(self) -> InferenceGraph:
        """Return what scores the catalogue, with the vectors of this moment, or those of its checkpoint, as constants.

        Raises:
            ValueError: If there is no graph, and the checkpoint was written without one.
        """
        if self.graph is not None:
            return super().inference_graph()
        if self._stored_vectors is None:
            raise ValueError(
                "LightGCN scores by vectors that are spread over the graph of the training, and its checkpoint does "
                "not hold them, since an earlier version wrote it: train it on, with fit --ckpt_path, or again"
            )
        return VectorGraph(*self._stored_vectors.split([self.num_users, self.num_items]))

    @torch.no_grad()
    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store the vectors that are scored too, without which the model says nothing where the graph is not known."""
        super().on_save_checkpoint(checkpoint)
        if self.graph is not None:
            checkpoint[_VECTORS] = torch.cat(self(None, None))

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the vectors that were scored.

        Raises:
            ValueError: If they are not those of this model.
        """
        super().on_load_checkpoint(checkpoint)
        found = checkpoint.get(_VECTORS)
        size = self.num_users + self.num_items, self.user_embedding.embedding_dim
        if found is not None and (not isinstance(found, Tensor) or found.shape != size or not found.isfinite().all()):
            raise ValueError(f"{_VECTORS} of the checkpoint are no finite vectors of shape {list(size)}")
        self._stored_vectors = found

    def _propagated(self, node: Tensor | None) -> Tensor:
        """Return the mean over the layers of some users and items, or of all, which are numbered after the users.

        Args:
            node: The users and items, none twice, int64 [n]; None for all.

        Returns:
            Float [n, d].
        """
        if self.graph is None:
            raise MisconfigurationException("LightGCN has no graph yet; train it with a Trainer, or call build_graph")
        layer = torch.cat([self.user_embedding.weight, self.item_embedding.weight])
        if node is not None:
            return self.graph.mean_of_layers(layer, self.num_layers, node)
        total = layer
        for _ in range(self.num_layers):
            layer = self.graph(layer)
            total = total + layer
        return total / (self.num_layers + 1)
