"""What a loader hands to a model: named tuples of tensors."""

from typing import NamedTuple

from torch import Tensor


class Batch(NamedTuple):
    """Labelled user-item rows.

    Attributes:
        user: Index of the user, int64, shape [n]; 0 is the unknown user.
        item: Index of the item, int64, shape [n]; 0 is the unknown item.
        label: 0 or 1, float32, shape [n].
    """

    user: Tensor
    item: Tensor
    label: Tensor


class PairBatch(NamedTuple):
    """Pairs of items of which the user prefers the first.

    Attributes:
        user: Index of the user, int64, shape [n].
        positive_item: Index of the preferred item, int64, shape [n].
        negative_item: Index of the other item, int64, shape [n].
    """

    user: Tensor
    positive_item: Tensor
    negative_item: Tensor


class PredictionBatch(NamedTuple):
    """Rows to predict with their row numbers, from which original ids, also unknown ones, are looked up.

    Attributes:
        user: Index of the user, int64, shape [n]; 0 is the unknown user.
        item: Index of the item, int64, shape [n]; 0 is the unknown item.
        label: 0 or 1, float32, shape [n].
        row: Number of the row among the predicted rows, counted from 0, int64, shape [n].
    """

    user: Tensor
    item: Tensor
    label: Tensor
    row: Tensor


class FeedbackRows(NamedTuple):
    """Items that users chose; there is no unknown user or item, both are counted from 0.

    Attributes:
        user: Index of the user, int64, shape [n].
        item: Index of the item, int64, shape [n].
    """

    user: Tensor
    item: Tensor


class TopNBatch(NamedTuple):
    """Items of users, as in :class:`FeedbackRows`, each with negatives: items that its user does not have.

    Attributes:
        user: Index of the user, int64, shape [n].
        item: Index of an item of the user, int64, shape [n].
        negative: Indices of the negatives, int64, shape [n, negatives], or [negatives] where all rows share them.
        replaced: Where negatives are shared, one column for every negative that is an item of the row's user: the row,
            the negative's place, and the place of the row's negative that is used instead; int64, shape [3, m].
        log_q: Logarithm of the probability with which each negative was drawn, float32, shaped like ``negative``;
            shape [0] where scores are not corrected for it.
    """

    user: Tensor
    item: Tensor
    negative: Tensor
    replaced: Tensor
    log_q: Tensor


class CatalogueBatch(NamedTuple):
    """Users to rank the whole catalogue for.

    Attributes:
        user: Index of the user, int64, shape [n].
        seen: Items that are not recommended: the place of the user in the batch, and the item; int64, shape [2, s].
        relevant: Items that should be recommended, like ``seen``; int64, shape [2, r].
    """

    user: Tensor
    seen: Tensor
    relevant: Tensor


class RecommendationBatch(NamedTuple):
    """Recommended items, the rows of a table of predictions.

    Attributes:
        user: Index of the user, int64, shape [n].
        item: Index of the item, int64, shape [n].
        rank: Place of the item among those of the user, counted from 1, int64, shape [n].
        score: What the items of the user are ranked by, float, shape [n].
    """

    user: Tensor
    item: Tensor
    rank: Tensor
    score: Tensor


class ImpressionBatch(NamedTuple):
    """Impressions with a label for each of several tasks.

    Attributes:
        categorical: Index of the category within its field, int64, shape [n, fields]; 0 is unseen or missing.
        numerical: Standardised features, float32, shape [n, features]; features may be 0.
        label: 0 or 1, float32, shape [n, tasks].
        session: Number of the row's session, int64, shape [n].
        user: Number of the row's user, or of its session where there are no users, int64, shape [n].
        row: Number of the row in its split, counted from 0, int64, shape [n].
    """

    categorical: Tensor
    numerical: Tensor
    label: Tensor
    session: Tensor
    user: Tensor
    row: Tensor
