"""Top-N recommendation: the best items of users out of scores of the whole catalogue, and how good they are."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_modules.utilities.compiled import compiles_for

#: The metrics of every user, in the order of :func:`values_of_users`.
METRICS = ("recall", "ndcg", "hit_rate", "precision", "mrr", "map")
# The time of the compiled loop grows with the length, and where scores ascend with its square.
_LONGEST_COMPILED = 100


class TopItems(NamedTuple):
    """The best items of users, best first; equal scores are in the order of the items' indices.

    Attributes:
        score: Float [users, k]; -inf behind the last item where a user has fewer than k left.
        item: Index of the item, int64 [users, k].
    """

    score: Tensor
    item: Tensor


def top_items(scores: Tensor, seen: Tensor, k: int) -> TopItems:
    """Return the best items that users have not seen, as a stable sort would order them if all are numbers.

    On processors a compiled loop keeps the best of every user. Elsewhere, and for long lists, they are those of one
    ``topk``, whose memory beside the scores is its own and, where the last place is tied, once the scores of these
    users.

    Args:
        scores: Scores of all items, float [users, items]; those of seen items are overwritten with -inf.
        seen: Place of a user among the rows, and an item not to recommend; int64 [2, s].
        k: How many items; all where there are fewer.
    """
    scores[seen[0], seen[1]] = -torch.inf
    num_items = scores.shape[1]
    if k <= _LONGEST_COMPILED and compiles_for(scores):
        from lightning_modules.statistics.top_items_kernel import best_items  # compiles when it is first called

        return TopItems(*best_items(scores, min(k, num_items)))
    # One more than asked for shows whether the last place is tied.
    score, item = scores.topk(min(k + 1, num_items), dim=1)
    if k < num_items:
        tied = (score[:, k - 1] == score[:, k]) & (score[:, k] > -torch.inf)
        score, item = score[:, :k], item[:, :k]
        rows = tied.nonzero().squeeze(1)
        if len(rows):
            item[rows] = _first_of_tied(scores[rows], TopItems(score[rows], item[rows]))
    return _in_order(score, item)


def top_n_values(scores: Tensor, seen: Tensor, relevant: Tensor, cutoffs: Sequence[int]) -> tuple[TopItems, Tensor]:
    """Return the best items of users, and every metric of them: :func:`top_items` and :func:`values_of_users`.

    Args:
        scores: Scores of all items, float [users, items]; those of seen items are overwritten with -inf.
        seen: Place of a user among the rows, and an item not to recommend; int64 [2, s].
        relevant: Place of a user, and an item that should be recommended; int64 [2, r], no pair twice.
        cutoffs: The cut-offs.
    """
    top = top_items(scores, seen, max(cutoffs))
    num_relevant = torch.bincount(relevant[0], minlength=len(scores))
    return top, values_of_users(hits(top, relevant, scores.shape[1]), num_relevant, cutoffs)


def _first_of_tied(scores: Tensor, top: TopItems) -> Tensor:
    """Return the items, of those as good as the last one those that come first; int64 [users, k]."""
    last = top.score[:, -1:]
    k, num_items = top.item.shape[1], scores.shape[1]
    index = torch.arange(num_items, dtype=torch.int32, device=scores.device)
    key = torch.where(scores == last, index, num_items)
    tied = key.topk(k, dim=1, largest=False).values.long()
    better = top.score > last
    place = torch.arange(k, device=scores.device) - better.sum(dim=1, keepdim=True)
    return torch.where(better, top.item, tied.gather(1, place.clamp(min=0)))


def _in_order(score: Tensor, item: Tensor) -> TopItems:
    item, order = item.sort(dim=1)
    score, by_score = score.gather(1, order).sort(dim=1, descending=True, stable=True)
    return TopItems(score, item.gather(1, by_score))


def hits(top: TopItems, relevant: Tensor, num_items: int) -> Tensor:
    """Return which of the items are relevant, bool [users, k]; what a user has seen is none.

    Args:
        top: The items.
        relevant: Place of a user among the rows, and an item that should be recommended; int64 [2, r].
        num_items: Number of items of the catalogue.
    """
    users = torch.arange(len(top.item), device=top.item.device).unsqueeze(1)
    key, _ = (relevant[0] * num_items + relevant[1]).sort()
    # What is searched for behind the last key is compared with a pair that there is not.
    key = torch.cat([key, key.new_full((1,), -1)])
    sought = users * num_items + top.item
    return (key[torch.searchsorted(key[:-1], sought)] == sought) & (top.score > -torch.inf)


def values_of_users(hit: Tensor, num_relevant: Tensor, cutoffs: Sequence[int]) -> Tensor:
    """Return every metric of every user at several cut-offs.

    With ``hit`` of rank i as ``h_i`` and R relevant items, at a cut-off k: recall is ``sum h_i / R`` and precision
    ``sum h_i / k``; ndcg is ``sum h_i / log2(i + 1)`` over its best value, that of hits at the first min(k, R) ranks;
    hit rate is 1 if there is a hit, and mrr one over the first one's rank; map is the mean over min(k, R) of the
    precision at every hit's rank. Järvelin and Kekäläinen, ACM Transactions on Information Systems 20(4), 2002
    (https://doi.org/10.1145/582415.582418) has the discount.

    Args:
        hit: Whether the item of every rank is relevant, bool [users, max(cutoffs)]; fewer columns where there are
            fewer items.
        num_relevant: Number of relevant items, int64 [users].
        cutoffs: The cut-offs k, each >= 1.

    Returns:
        Float32 [users, metrics, cutoffs], in the order of :data:`METRICS`; nan for users without relevant items.
    """
    rank = torch.arange(1, hit.shape[1] + 1, device=hit.device)
    k = torch.tensor(cutoffs, device=hit.device)
    found = hit.cumsum(dim=1)
    first = (hit & (found == 1)).float()
    discount = 1 / (rank + 1).float().log2()
    gains = torch.stack([hit.float(), hit * discount, first, hit.float(), first / rank, hit * found / rank], dim=1)
    sums = gains.cumsum(dim=2)[:, :, k.clamp(max=len(rank)) - 1]
    return sums / _best(num_relevant, k, max(cutoffs))


def _best(num_relevant: Tensor, k: Tensor, longest: int) -> Tensor:
    """Return what the sums of the gains are divided by, float [users, metrics, cutoffs]."""
    count = num_relevant.float().unsqueeze(1).expand(-1, len(k))
    attainable = torch.minimum(num_relevant.unsqueeze(1), k)
    places = torch.arange(2, longest + 2, device=k.device)
    ideal = torch.cat([torch.zeros(1, device=k.device), (1 / places.float().log2()).cumsum(0)])
    one = torch.where(count > 0, 1.0, torch.nan)
    return torch.stack([count, ideal[attainable], one, one * k, one, attainable.float()], dim=1)
