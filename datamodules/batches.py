"""What a loader hands to a model: named tuples of equally long tensors."""

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
