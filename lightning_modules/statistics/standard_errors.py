"""Standard errors of AUCs over the draw of the rows, and of the difference of two AUCs on the same rows."""

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor


@runtime_checkable
class MeasuresComponents(Protocol):
    """Metrics that give the structural components of their AUCs."""

    def auc_components(self, name: str) -> Tensor | None:
        """Return what :func:`auc_components` does for the AUC of this name; ``None`` for other metrics."""


def auc_components(rank: Tensor, positive: Tensor) -> Tensor:
    """Return the structural components of an AUC: the sum of their squares is its variance over the rows.

    They are the centred components of DeLong, DeLong and Clarke-Pearson, Biometrics 1988,
    https://doi.org/10.2307/2531595, each over the root of ``count * (count - 1)`` rows of its class. Those of two AUCs
    on the same rows may be subtracted.

    Args:
        rank: What ``dense_ranks`` of the scores returned, int64, of shape [n].
        positive: Whether the label is 1, bool, of shape [n].

    Returns:
        float64, of shape [n]; nan if a class has fewer than two rows, whose spread is unknown.
    """
    num_ranks = int(rank.max()) + 1
    positives = torch.bincount(rank[positive], minlength=num_ranks).double()
    negatives = torch.bincount(rank[~positive], minlength=num_ranks).double()
    counts = torch.stack([negatives.sum(), positives.sum()])
    beaten = (negatives.cumsum(0) - negatives / 2) / counts[0]
    not_beaten = 1 - (positives.cumsum(0) - positives / 2) / counts[1]
    share = torch.where(positive, beaten[rank], not_beaten[rank])
    area = (beaten * positives).sum() / counts[1]
    scale = (counts * (counts - 1)).sqrt()
    return (share - area) / torch.where(counts.min() > 1, scale, torch.nan)[positive.long()]


def components_of(metrics: object, name: str) -> Tensor | None:
    """Return the structural components of one of the metrics, float32 on the CPU, of shape [n].

    In a distributed run all processes have to call this.

    Args:
        metrics: The metrics, with the rows that they have been fed.
        name: Name of the metric.

    Returns:
        The components, ``None`` where there are none: the metric is no AUC, or has no standard error.
    """
    if not isinstance(metrics, MeasuresComponents):
        return None
    components = metrics.auc_components(name)
    return None if components is None or not bool(components.isfinite().all()) else components.float().cpu()


def standard_error(components: Tensor | None, baseline: Tensor | None = None) -> float | None:
    """Return the standard error of an AUC, or of its difference to a baseline's on the same rows.

    Args:
        components: What :func:`components_of` returned.
        baseline: That of the baseline.

    Returns:
        The standard error; ``None`` if there are no components, or the rows are not as many.
    """
    if components is None or (baseline is not None and baseline.shape != components.shape):
        return None
    paired = components.double() if baseline is None else components.double() - baseline.double()
    return float(paired.norm())
