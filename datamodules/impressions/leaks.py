"""Target leakage: a warning for features that alone predict a label almost perfectly."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor
from torchmetrics.functional.classification import binary_auroc

from datamodules.batches import ImpressionBatch

LEAK_AUC = 0.99

# Enough to tell an AUC of .99 from an honest one, and few enough to sort once for every feature and task.
_MOST_ROWS = 100_000


class FeatureAuc(NamedTuple):
    """AUC that one feature reaches alone.

    Attributes:
        feature: Name of the field or numerical feature.
        task: Name of the task.
        auc: The AUC.
    """

    feature: str
    task: str
    auc: float


def feature_aucs(
    train: ImpressionBatch, validation: ImpressionBatch, features: Sequence[str], tasks: Sequence[str]
) -> list[FeatureAuc]:
    """Return the AUC of every single feature for every task on the validation rows, at most 100,000 of them.

    A category's score is its mean label among the training rows, without training rows the overall mean; a numerical
    feature scores by its value, in the better direction. Tasks with one label only among those rows are left out.

    Args:
        train: Rows that the mean labels are taken from.
        validation: Rows that the AUC is measured on.
        features: Names of the fields and then of the numerical features.
        tasks: Names of the tasks.
    """
    sample = type(validation)(*(column[:: -(-len(column) // _MOST_ROWS)] for column in validation))
    known = [task for task in range(len(tasks)) if len(sample.label[:, task].unique()) > 1]
    results = []
    for place, scores in enumerate(_scores(train, sample)):
        for task in known:
            auc = _auc(scores[:, task], sample.label[:, task])
            is_category = place < train.categorical.shape[1]
            results.append(FeatureAuc(features[place], tasks[task], auc if is_category else max(auc, 1 - auc)))
    return results


def warn_of_leaks(
    train: ImpressionBatch, validation: ImpressionBatch, features: Sequence[str], tasks: Sequence[str]
) -> None:
    """Warn of target leakage: of every feature that alone reaches an AUC above 0.99."""
    for feature, task, auc in feature_aucs(train, validation, features, tasks):
        if auc > LEAK_AUC:
            rank_zero_warn(
                f"the feature '{feature}' alone reaches an AUC of {auc:.4f} for task '{task}' on the validation rows: "
                "it probably records the outcome. Leave it out unless it is known before the impression"
            )


def _scores(train: ImpressionBatch, sample: ImpressionBatch) -> Iterator[Tensor]:
    for place in range(train.categorical.shape[1]):
        category = sample.categorical[:, place]
        size = int(category.max()) + 1
        yield _mean_labels(train.categorical[:, place].contiguous(), train.label, size)[category]
    for place in range(train.numerical.shape[1]):
        yield sample.numerical[:, place, None].expand(-1, train.label.shape[1])


def _mean_labels(category: Tensor, label: Tensor, size: int) -> Tensor:
    counts = torch.bincount(category, minlength=size)[:, None]
    sums = [torch.bincount(category, weights=column, minlength=size) for column in label.unbind(1)]
    overall = label.mean(dim=0, dtype=torch.float64)
    return torch.where(counts > 0, torch.stack(sums, dim=1) / counts.clamp(min=1), overall)


def _auc(scores: Tensor, label: Tensor) -> float:
    # Ranks, since torchmetrics squeezes scores outside [0, 1] through a sigmoid, where distant ones become equal.
    values, ranks = scores.unique(return_inverse=True)
    return float(binary_auroc(ranks.double() / len(values), label.long()))
