"""Matrix factorisation for top-N recommendation."""

from typing import Any, ClassVar

from torch import Tensor

from lightning_modules.optimizers import LazyAdam, LazyTable
from lightning_modules.recommenders.base import normal_embedding
from lightning_modules.recommenders.top_n import TopNRecommender


class MF(TopNRecommender):
    """Matrix factorisation: a vector for every user and every item, and nothing else.

    Koren, Bell and Volinsky, "Matrix Factorization Techniques for Recommender Systems", IEEE Computer 42(8), 2009
    (https://doi.org/10.1109/MC.2009.263), without biases: ``score(u, i) = p_u . q_i`` or, as the similarity is, the
    cosine of the two. What it learns is the loss's doing.

    Args:
        num_users: Number of users.
        num_items: Number of items.
        embedding_dim: Size of the vectors.
        init_std: Standard deviation of the initial vectors.
        options: The other arguments of :class:`TopNRecommender`.
    """

    default_optimizer_class: ClassVar[type[LazyAdam]] = LazyAdam

    def __init__(
        self, num_users: int, num_items: int, *, embedding_dim: int = 64, init_std: float = 0.1, **options: Any
    ) -> None:
        super().__init__(num_users, num_items, **options)
        self.user_embedding = normal_embedding(num_users, embedding_dim, std=init_std, kind=LazyTable)
        self.item_embedding = normal_embedding(num_items, embedding_dim, std=init_std, kind=LazyTable)

    def forward(self, user: Tensor | None, item: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return vectors of users and items, as they are scored: int64 [n] and [m] -> float [n, d] and [m, d]."""
        users = self.user_embedding.weight if user is None else self.user_embedding(user)
        items = self.item_embedding.weight if item is None else self.item_embedding(item)
        return self.as_scored(users), self.as_scored(items)
