"""Standard errors of metrics over the draw of rows or users, and of the difference of two metrics on the same ones."""

import math
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn import functional

#: More sums than these say no more about the spread.
_MOST_BLOCKS = 65_536


@runtime_checkable
class MeasuresComponents(Protocol):
    """Metrics that give the components of their AUCs or means."""

    def components(self, name: str) -> Tensor | None:
        """Return what :func:`auc_components`, or :func:`over_groups` of that, or :func:`mean_components` does.

        ``None`` for metrics without components.
        """


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


def over_groups(components: Tensor, group: Tensor) -> Tensor:
    """Return the sum of the components of every group of rows, such as a user's, which are no independent draws.

    The sum of their squares is the variance over the draw of groups: that of Obuchowski, Biometrics 1997,
    https://doi.org/10.2307/2533958, with the number of all groups in the correction for the mean, where she counts
    those with positives and those with negatives.

    Args:
        components: What :func:`auc_components` returned, of shape [n].
        group: The group of each row, any integers, of shape [n].

    Returns:
        float64, of shape [groups], in the order of their numbers; nan if there is one group, whose spread is unknown.
    """
    names, place = group.unique(return_inverse=True)
    rows, groups = len(group), len(names)
    # The components have the correction for as many draws as there are rows.
    correction = math.sqrt(groups * (rows - 1) / ((groups - 1) * rows)) if groups > 1 else math.nan
    return components.new_zeros(groups).index_add_(0, place, components).mul_(correction)


def mean_components(value: Tensor) -> Tensor:
    """Return the components of a mean: the sum of their squares is its variance over the draw of its terms.

    They are the centred terms over the root of ``n (n - 1)``. Those of two means of the same terms may be subtracted.

    Args:
        value: The terms, such as a metric of every user, of shape [n].

    Returns:
        float64, of shape [n]; nan if there are fewer than two, whose spread is unknown.
    """
    terms, count = value.double(), len(value)
    return (terms - terms.mean()) / (math.sqrt(count * (count - 1)) if count > 1 else math.nan)


def components_of(metrics: object, name: str) -> Tensor | None:
    """Return the components of one of the metrics, float32 on the CPU, a number for each row, group or user.

    In a distributed run all processes have to call this.

    Args:
        metrics: The metrics, with the rows that they have been fed.
        name: Name of the metric.

    Returns:
        The components, ``None`` where there are none, so that the metric has no standard error.
    """
    if not isinstance(metrics, MeasuresComponents):
        return None
    components = metrics.components(name)
    return None if components is None or not bool(components.isfinite().all()) else components.float().cpu()


def standard_error(components: Tensor | None, baseline: Tensor | None = None) -> float | None:
    """Return the standard error of a metric, or of its difference to a baseline's on the same rows or users.

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


def in_blocks(components: Tensor | None, most: int = _MOST_BLOCKS) -> Tensor | None:
    """Return the sums of components over blocks of neighbouring rows, whose squares add up to the same in the mean.

    Args:
        components: What :func:`components_of` returned, of shape [n].
        most: The largest number of blocks.

    Returns:
        Of shape [n] if there are no more rows than that, else [blocks].
    """
    if components is None or len(components) <= most:
        return components
    size = -(-len(components) // most)
    padded = functional.pad(components, (0, -len(components) % size))
    return padded.reshape(-1, size).sum(1)


def seeds_standard_error(differences: Tensor, components: Tensor | None) -> float:
    """Return the standard error of a mean difference over the draw of the rows and of the seeds.

    In the crossed layout of rows and seeds (Obuchowski and Rockette, Communications in Statistics 1995,
    https://doi.org/10.1080/03610919508813243) the mean over S seeds has the variance ``rows + (seeds + interaction) /
    S``. The variance between the observed differences is ``seeds + interaction``. It is never taken for less than
    ``interaction``, which the components tell: differences of few seeds may be equal by chance.

    Args:
        differences: The difference with every seed, of shape [S], S at least 2.
        components: The differences of the structural components with every seed, of shape [S, n]; ``None`` where there
            are none, so that the rows are taken as given.
    """
    seeds = len(differences)
    between = differences.double().var()
    if components is None:
        return float((between / seeds).sqrt())
    paired = components.double()
    mean = paired.mean(0)
    interaction = (paired - mean).square().sum() / (seeds - 1)
    rows = (mean.square().sum() - interaction / seeds).clamp(min=0)
    return float((rows + between.clamp(min=interaction) / seeds).sqrt())
