"""Indices of gradient signatures, which find formulas that train like an earlier one."""

import itertools
import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor

_COARSE_STEP = 13
#: Directions with a larger cosine are the same.
SAME_COSINE = 0.9998
# More of them exclude more pairs, and cost three times as many lookups each.
_DIMENSIONS = 4
# More cells in a dimension than there are between -1 and 1.
_CELLS = 1024


class GradientIndex(ABC):
    """Numbers gradient signatures in the order of their first appearance; those equal within a tolerance are the same.

    Every signature has a sortable key, and those within the tolerance of another have keys in a few ranges, so that a
    lookup compares only these and misses no match.

    Args:
        points: Number of gradient values in a signature.
        tolerance: Largest distance between signatures that count as the same.
    """

    def __init__(self, points: int, tolerance: float) -> None:
        self.tolerance = tolerance
        self._rows = torch.empty(0, points, dtype=torch.float64)
        self._count = 0
        self._keys, self._order = self._sorted(self._rows)

    def __len__(self) -> int:
        return self._count

    @abstractmethod
    def signatures(self, gradients: Tensor) -> Tensor:
        """Return what is compared of gradients, float64 ``[count, points]``."""

    @abstractmethod
    def keys(self, signatures: Tensor) -> Tensor:
        """Return the key ``[count]`` of each signature."""

    @abstractmethod
    def ranges(self, signatures: Tensor) -> tuple[Tensor, Tensor]:
        """Return first and last keys ``[count, ranges]`` of the ranges in which the same signatures lie."""

    @abstractmethod
    def distance(self, differences: Tensor) -> Tensor:
        """Return the distance ``[pairs]`` of signatures with these differences ``[pairs, points]``.

        It never falls with a further point.
        """

    def fit(self, signatures: Tensor) -> None:  # noqa: B027 (most keys suit all signatures)
        """Choose keys that tell these signatures apart; called whenever their number has doubled."""

    def number(self, gradients: Tensor) -> Tensor:
        """Return the number ``[count]`` of each signature ``[count, points]``; new ones are added to the index."""
        signatures = self.signatures(gradients)
        numbers = self._find(signatures)
        new = (numbers < 0).nonzero().squeeze(1)
        if len(new):
            numbers[new] = self._add(signatures[new])
        return numbers

    @property
    def known(self) -> Tensor:
        """The signatures by their numbers, float64 ``[count, points]``."""
        return self._rows[: self._count].clone()

    def restore(self, known: Tensor) -> None:
        """Restore the signatures that :attr:`known` returned."""
        self._rows, self._count = known, len(known)
        self._sort()

    def _sort(self) -> None:
        self.fit(self._rows[: self._count])
        self._keys, self._order = self._sorted(self._rows[: self._count])

    def _sorted(self, signatures: Tensor) -> tuple[Tensor, Tensor]:
        keys, order = self.keys(signatures).sort()
        return keys, order

    def _find(self, signatures: Tensor) -> Tensor:
        """Return the smallest known number within the tolerance, or -1."""
        rows, near = self._within(signatures, self._keys)
        rows, candidates = self._same(signatures, rows, self._rows, self._order[near])
        numbers = torch.full((len(signatures),), self._count, dtype=torch.int64)
        numbers.scatter_reduce_(0, rows, candidates, "amin")
        return torch.where(numbers == self._count, -1, numbers)

    def _add(self, signatures: Tensor) -> Tensor:
        leader = self._leaders(signatures)
        distinct, offset = torch.unique(leader, return_inverse=True)
        numbers: Tensor = self._count + offset
        self._append(signatures[distinct])
        return numbers

    def _append(self, signatures: Tensor) -> None:
        known, self._count = self._count, self._count + len(signatures)
        if self._count > len(self._rows):
            # Room for as many again, so that not every batch copies all signatures.
            grown = self._rows.new_empty(2 * self._count, self._rows.shape[1])
            grown[:known], grown[known : self._count] = self._rows[:known], signatures
            self._rows = grown
            self._sort()
            return
        self._rows[known : self._count] = signatures
        self._keys, order = torch.cat([self._keys, self.keys(signatures)]).sort()
        self._order = torch.cat([self._order, torch.arange(known, self._count)])[order]

    def _leaders(self, signatures: Tensor) -> Tensor:
        """Return for each row the first row of the batch with the same signature, which may be itself."""
        # Exact repeats are found first, so that a batch of one formula is not compared pair by pair.
        _, group = torch.unique(signatures.mul(1e9).round(), dim=0, return_inverse=True)
        positions = torch.arange(len(group))
        first = torch.full((int(group.max()) + 1,), len(group)).scatter_reduce_(0, group, positions, "amin")
        ordered, order = self._sorted(signatures[first])
        rows, near = self._within(signatures[first], ordered)
        rows, others = self._same(signatures[first], rows, signatures[first], order[near])
        leader = first.clone().scatter_reduce_(0, rows, first[others], "amin")
        return _follow(positions.scatter(0, first, leader)[first[group]])

    def _within(self, signatures: Tensor, ordered: Tensor) -> tuple[Tensor, Tensor]:
        """Return all pairs (signature, position in the sorted keys) whose key is in a range of the signature."""
        lows, highs = self.ranges(signatures)
        low = torch.searchsorted(ordered, lows.flatten())
        counts = torch.searchsorted(ordered, highs.flatten(), right=True) - low
        rows = torch.arange(len(signatures)).repeat_interleave(lows.shape[1]).repeat_interleave(counts)
        start = torch.repeat_interleave(low - (counts.cumsum(0) - counts), counts)
        return rows, start + torch.arange(len(rows))

    def _same(self, left: Tensor, rows: Tensor, right: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
        """Keep the pairs (row of ``left``, row of ``right``) whose signatures are within the tolerance."""
        # Comparing a few points first excludes most pairs, before whole signatures are copied.
        for step in (_COARSE_STEP, 1):
            near = self.distance(left[:, ::step][rows] - right[:, ::step][others]) < self.tolerance
            rows, others = rows[near], others[near]
        return rows, others


class SignatureIndex(GradientIndex):
    """Gradients that differ by little at every point are the same.

    They are compared as sign(g) * ln(1 + |g|): absolutely for small gradients, relatively for large ones. The key is
    the projection on a fixed direction of L1 norm 1, which differs by no more than the signatures do.

    Args:
        points: Number of gradient values in a signature.
        tolerance: Largest difference at any point between signatures that count as the same.
    """

    def __init__(self, points: int, tolerance: float = 1e-4) -> None:
        weights = torch.cos(torch.arange(points, dtype=torch.float64) ** 2)
        self._direction = weights / weights.abs().sum()
        super().__init__(points, tolerance)

    def signatures(self, gradients: Tensor) -> Tensor:
        """Return the logarithms of gradients with their signs."""
        return torch.sign(gradients) * torch.log1p(gradients.abs())

    def keys(self, signatures: Tensor) -> Tensor:
        """Return the projections."""
        return signatures @ self._direction

    def ranges(self, signatures: Tensor) -> tuple[Tensor, Tensor]:
        """Return the projections less and plus the tolerance, and a little more for their rounding errors."""
        projection = self.keys(signatures)[:, None]
        return projection - 1.01 * self.tolerance, projection + 1.01 * self.tolerance

    def distance(self, differences: Tensor) -> Tensor:
        """Return the largest absolute difference."""
        return differences.abs().amax(1)


class DirectionIndex(GradientIndex):
    """Gradients with a cosine above .9998 are the same, whatever their lengths.

    The distance of such unit vectors is below .02. The key is the cell of a grid over their first principal components,
    and the same directions lie in the cells around it.

    Args:
        points: Number of gradient values in a signature.
        least: Gradients that are nowhere larger, or not finite, have no direction, and are all the same.
    """

    def __init__(self, points: int, least: float = 1e-4) -> None:
        self.least = least
        dimensions = min(points, _DIMENSIONS)
        self._components = torch.eye(points, dtype=torch.float64)[:, :dimensions]
        self._place = _CELLS ** torch.arange(dimensions).flip(0)
        # The cells of the last dimension are neighbours by their keys too.
        steps = list(itertools.product((-1, 0, 1), repeat=dimensions - 1))
        self._steps = torch.tensor(steps, dtype=torch.int64) @ self._place[:-1]
        super().__init__(points, math.sqrt(2 - 2 * SAME_COSINE))

    def signatures(self, gradients: Tensor) -> Tensor:
        """Return gradients divided by their lengths."""
        lengths: Tensor = torch.linalg.vector_norm(gradients, dim=1, keepdim=True)
        has_none = ~(gradients.abs().amax(1, keepdim=True) > self.least) | ~lengths.isfinite()
        return (gradients / lengths).masked_fill(has_none, 0.0)

    def fit(self, signatures: Tensor) -> None:
        """Compute the principal components."""
        centred = signatures - signatures.mean(0)
        self._components = torch.linalg.eigh(centred.T @ centred).eigenvectors[:, -len(self._place) :]

    def keys(self, signatures: Tensor) -> Tensor:
        """Return the number of each one's cell."""
        # A little wider than the tolerance, for the rounding errors of the projections.
        cells = (signatures @ self._components / (1.01 * self.tolerance)).floor().long() + _CELLS // 2
        return cells @ self._place

    def ranges(self, signatures: Tensor) -> tuple[Tensor, Tensor]:
        """Return the numbers of the cells around each one's."""
        around = self.keys(signatures)[:, None] + self._steps
        return around - 1, around + 1

    def distance(self, differences: Tensor) -> Tensor:
        """Return the Euclidean distance."""
        lengths: Tensor = torch.linalg.vector_norm(differences, dim=1)
        return lengths


def _follow(leader: Tensor) -> Tensor:
    """Replace every leader by its own leader until none has another one."""
    while not torch.equal(leader[leader], leader):
        leader = leader[leader]
    return leader
