"""An index of gradient signatures, which finds formulas that train like an earlier one."""

import torch
from torch import Tensor

_COARSE_STEP = 13


class SignatureIndex:
    """Numbers gradient signatures in the order of their first appearance; those equal within a tolerance are the same.

    Signatures are compared as sign(g) * ln(1 + |g|): absolutely for small gradients, relatively for large ones.
    A lookup compares only signatures whose projections on a fixed direction of L1 norm 1 are within the tolerance,
    which misses no match.

    Args:
        points: Number of gradient values in a signature.
        tolerance: Largest difference at any point between signatures that count as the same.
    """

    def __init__(self, points: int, tolerance: float = 1e-4) -> None:
        self.tolerance = tolerance
        weights = torch.cos(torch.arange(points, dtype=torch.float64) ** 2)
        self._direction = weights / weights.abs().sum()
        self._rows = torch.empty(0, points, dtype=torch.float64)
        self._count = 0
        self._projection = torch.empty(0, dtype=torch.float64)
        self._order = torch.empty(0, dtype=torch.int64)

    def __len__(self) -> int:
        return self._count

    def number(self, gradients: Tensor) -> Tensor:
        """Return the number ``[count]`` of each signature ``[count, points]``; new ones are added to the index."""
        signatures = torch.sign(gradients) * torch.log1p(gradients.abs())
        projection = signatures @ self._direction
        numbers = self._find(signatures, projection)
        new = (numbers < 0).nonzero().squeeze(1)
        if len(new):
            numbers[new] = self._add(signatures[new], projection[new])
        return numbers

    @property
    def known(self) -> Tensor:
        """The signatures by their numbers, float64 ``[count, points]``."""
        return self._rows[: self._count].clone()

    def restore(self, known: Tensor) -> None:
        """Restore the signatures that :attr:`known` returned."""
        self._rows, self._count = known, len(known)
        self._projection, self._order = (known @ self._direction).sort()

    def _find(self, signatures: Tensor, projection: Tensor) -> Tensor:
        """Return the smallest known number within the tolerance, or -1."""
        rows, near = _within(projection, self._projection, self.tolerance)
        rows, candidates = _same(signatures, rows, self._rows, self._order[near], self.tolerance)
        numbers = torch.full((len(signatures),), self._count, dtype=torch.int64)
        numbers.scatter_reduce_(0, rows, candidates, "amin")
        return torch.where(numbers == self._count, -1, numbers)

    def _add(self, signatures: Tensor, projection: Tensor) -> Tensor:
        leader = self._leaders(signatures, projection)
        distinct, offset = torch.unique(leader, return_inverse=True)
        numbers: Tensor = self._count + offset
        self._append(signatures[distinct], projection[distinct])
        return numbers

    def _append(self, signatures: Tensor, projection: Tensor) -> None:
        known, self._count = self._count, self._count + len(signatures)
        if self._count > len(self._rows):
            # Room for as many again, so that not every batch copies all signatures.
            grown = self._rows.new_empty(2 * self._count, self._rows.shape[1])
            grown[:known] = self._rows[:known]
            self._rows = grown
        self._rows[known : self._count] = signatures
        self._projection, order = torch.cat([self._projection, projection]).sort()
        self._order = torch.cat([self._order, torch.arange(known, self._count)])[order]

    def _leaders(self, signatures: Tensor, projection: Tensor) -> Tensor:
        """Return for each row the first row of the batch with the same signature, which may be itself."""
        # Exact repeats are found first, so that a batch of one formula is not compared pair by pair.
        _, group = torch.unique(signatures.mul(1e9).round(), dim=0, return_inverse=True)
        positions = torch.arange(len(group))
        first = torch.full((int(group.max()) + 1,), len(group)).scatter_reduce_(0, group, positions, "amin")
        ordered, order = projection[first].sort()
        rows, near = _within(projection[first], ordered, self.tolerance)
        rows, others = _same(signatures[first], rows, signatures[first], order[near], self.tolerance)
        leader = first.clone().scatter_reduce_(0, rows, first[others], "amin")
        return _follow(positions.scatter(0, first, leader)[first[group]])


def _within(queries: Tensor, ordered: Tensor, tolerance: float) -> tuple[Tensor, Tensor]:
    """Return all pairs (query, position in ``ordered``) that differ by at most the tolerance."""
    # A little more than the tolerance, for the rounding errors of the projections.
    low = torch.searchsorted(ordered, queries - 1.01 * tolerance)
    high = torch.searchsorted(ordered, queries + 1.01 * tolerance, right=True)
    counts = high - low
    rows = torch.repeat_interleave(torch.arange(len(queries)), counts)
    start = torch.repeat_interleave(low - (counts.cumsum(0) - counts), counts)
    return rows, start + torch.arange(len(rows))


def _same(left: Tensor, rows: Tensor, right: Tensor, others: Tensor, tolerance: float) -> tuple[Tensor, Tensor]:
    """Keep the pairs (row of ``left``, row of ``right``) whose signatures are within the tolerance at every point."""
    # Comparing a few points first excludes most pairs, before whole signatures are copied.
    for step in (_COARSE_STEP, 1):
        near = (left[:, ::step][rows] - right[:, ::step][others]).abs().amax(1) < tolerance
        rows, others = rows[near], others[near]
    return rows, others


def _follow(leader: Tensor) -> Tensor:
    """Replace every leader by its own leader until none has another one."""
    while not torch.equal(leader[leader], leader):
        leader = leader[leader]
    return leader
