"""iALS: matrix factorisation of all pairs by alternating least squares."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from datamodules.implicit.user_items import UserItems
from lightning_modules.core.inference import InferenceGraph
from lightning_modules.losses.listwise_loss import Scorer
from lightning_modules.recommenders.base import normal_embedding
from lightning_modules.recommenders.closed_form import ClosedFormRecommender
from lightning_modules.recommenders.inference import VectorGraph

# Floats of the vectors, or of the matrices, of users that are solved together.
_BLOCK = 2**23


class IALS(ClosedFormRecommender):
    """Matrix factorisation of every pair of a user and an item, observed or not, one alternation an epoch.

    Hu, Koren and Volinsky, "Collaborative Filtering for Implicit Feedback Datasets", ICDM 2008
    (https://doi.org/10.1109/ICDM.2008.22), in the form of Rendle et al., "Revisiting the Performance of iALS on Item
    Recommendation Benchmarks", RecSys 2022 (https://arxiv.org/abs/2110.14037): minimises

        sum_observed (p_u . q_i - 1)^2 + unobserved_weight sum_all (p_u . q_i)^2
            + l2 (sum_u c_u |p_u|^2 + sum_i c_i |q_i|^2)

    with ``c_u = (items of u + unobserved_weight num_items)^frequency_exponent``, and ``c_i`` likewise. An epoch solves
    all users, then all items, and logs the minimised value a training row as ``train/loss``.

    Args:
        num_users: Number of users.
        num_items: Number of items.
        embedding_dim: Size of the vectors.
        unobserved_weight: Weight of the squared scores of all pairs, > 0; alpha_0 of the paper.
        l2: Strength of the regularisation, > 0; lambda of the paper.
        frequency_exponent: How much stronger frequent users and items are regularised; nu of the paper.
        init_std: Standard deviation of the initial vectors' lengths, about.
        cutoffs: Lengths of the recommendations that are measured.

    Raises:
        ValueError: If ``l2`` or ``unobserved_weight`` is not positive.
    """

    def __init__(
        self,
        num_users: int,
        num_items: int,
        *,
        embedding_dim: int = 64,
        unobserved_weight: float = 0.1,
        l2: float = 0.03,
        frequency_exponent: float = 1.0,
        init_std: float = 0.1,
        cutoffs: Sequence[int] = (5, 10, 20),
    ) -> None:
        super().__init__(num_users, num_items, cutoffs=cutoffs)
        if not min(l2, unobserved_weight) > 0:
            raise ValueError(
                f"iALS needs a positive l2 and unobserved_weight, got l2={l2}, unobserved_weight={unobserved_weight}"
            )
        self.unobserved_weight, self.l2, self.frequency_exponent = unobserved_weight, l2, frequency_exponent
        self.user_embedding = normal_embedding(num_users, embedding_dim, std=init_std / embedding_dim**0.5)
        self.item_embedding = normal_embedding(num_items, embedding_dim, std=init_std / embedding_dim**0.5)
        self.requires_grad_(False)

    def solve(self, items: UserItems) -> Tensor:
        """Solve all users, then all items, and return the minimised value a row."""
        of_users, of_items = self.user_embedding.weight, self.item_embedding.weight
        self._solve_side(of_users, of_items, items)
        self._solve_side(of_items, of_users, items.transposed)
        return self._objective(of_users, of_items, items) / len(items.user)

    def scorer(self) -> Scorer:
        """Return what multiplies a user's vector with those of all items."""
        return lambda user: self.user_embedding(user) @ self.item_embedding.weight.T

    def inference_graph(self) -> InferenceGraph:
        """Return what multiplies a user's vector with those of all items."""
        return VectorGraph(self.user_embedding.weight, self.item_embedding.weight)

    def _solve_side(self, own: Tensor, other: Tensor, pairs: UserItems) -> None:
        """Solve the vectors ``own`` [m, d] from those of the other side, [n, d], that they are paired with."""
        of_all = self.unobserved_weight * (other.T @ other)
        penalty = self._penalty(pairs)
        identity = torch.eye(own.shape[1], device=own.device)
        for rows, length in _blocks_of_similar_length(pairs.count, own.shape[1]):
            vectors = _padded_vectors(other, pairs, rows, length)
            left = of_all + vectors.mT @ vectors + penalty[rows, None, None] * identity
            right = vectors.sum(dim=1).unsqueeze(2)
            own[rows] = torch.cholesky_solve(right, torch.linalg.cholesky(left)).squeeze(2)

    def _penalty(self, pairs: UserItems) -> Tensor:
        """Return the strength of the regularisation of every user of the pairs, float [num_users]."""
        frequency = pairs.count.to(self.user_embedding.weight.dtype) + self.unobserved_weight * pairs.num_items
        return self.l2 * frequency**self.frequency_exponent

    def _objective(self, users: Tensor, items: Tensor, pairs: UserItems) -> Tensor:
        score = (users[pairs.user] * items[pairs.item]).sum(dim=1)
        of_all = self.unobserved_weight * ((users.T @ users) * (items.T @ items)).sum()
        sides = (users, pairs), (items, pairs.transposed)
        penalties = torch.stack([self._penalty(each) @ vectors.square().sum(dim=1) for vectors, each in sides])
        return (score - 1).square().sum() + of_all + penalties.sum()


def _padded_vectors(other: Tensor, pairs: UserItems, rows: Tensor, length: int) -> Tensor:
    """Return the vectors that some rows [b] are paired with, zeros behind them, float [b, length, d]."""
    place = torch.arange(length, device=other.device)
    places = (pairs.first[rows, None] + place).clamp(max=len(pairs.item) - 1)
    return other[pairs.item[places]] * (place < pairs.count[rows, None]).unsqueeze(2)


def _blocks_of_similar_length(count: Tensor, dim: int) -> Iterator[tuple[Tensor, int]]:
    """Yield rows, int64 [b], with the longest one's length; what they need to be solved is bounded."""
    ordered, order = count.sort(descending=True, stable=True)
    lengths: list[int] = ordered.tolist()
    begin = 0
    while begin < len(lengths):
        length = lengths[begin]
        end = begin + max(1, _BLOCK // (max(length, dim) * dim))
        yield order[begin:end], length
        begin = end
