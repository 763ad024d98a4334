"""Lazy Adam updates: the sum of the moves that Adam makes in steps without gradient, in closed form."""

import math

import torch
from torch import Tensor

# Powers of the g_s whose sums are kept: two for large roots of the squares and two for small ones.
_POWERS = (-2, -1, 0, 1)
# A variance below this, relative to the squared mean, is that of a single move, or negligible.
_LEAST_VARIANCE = 1e-9


class IdleMoves:
    r"""Sums of Adam's moves over steps without gradient.

    With moments :math:`m, v` after step :math:`t`, the moves of the steps :math:`t \le s < T` add up to

    .. math:: \sum_s \frac{m \beta_1^{s-t} / (1 - \beta_1^s)}{\sqrt{v \beta_2^{s-t} / (1 - \beta_2^s)} + \epsilon}
        = m \sum_s \frac{w_s}{\sqrt v + g_s \epsilon} \approx m \sum_{i=1}^2 \frac{W_i}{\sqrt v + E_i}

    times the learning rate. The two terms have the sums :math:`\sum_s w_s g_s^p` of the many for p from -2 to 1, and
    are thus right to the second order both in :math:`\epsilon / \sqrt v` and in :math:`\sqrt v / \epsilon`: a
    two-point Pade approximant, or Gauss quadrature with the weights :math:`w_s / g_s^2`, whose nodes lie between the
    smallest and the largest :math:`g_s`. One or two moves are exact; for more, between the two orders, the error is
    below 1 % of the moves, and below 0.001 % after a hundred steps with the usual betas. A sum is a difference of two
    sums to infinity, :math:`A_p(t) - r_p^{T-t} A_p(T)` with :math:`r_p = \beta_1 / \beta_2^{(1+p)/2}`, which are
    tabulated.

    The moments are kept as ``m / (1 - beta1)`` and ``v / (1 - beta2) / beta2 ** (t - origin)``.

    Args:
        betas: Adam's; the first must be smaller than the second, or the sums diverge.
        eps: Adam's.
        device: Device of the tables.

    Attributes:
        origin: The step whose squared gradients have the weight 1; no moment may be of an earlier step.
    """

    def __init__(self, betas: tuple[float, float], eps: float, device: torch.device) -> None:
        self.betas = betas
        self.eps = eps
        self.device = device
        self.start_at(0)

    def sums(self, since: Tensor, until: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return the moves of the steps from ``since``, int64 [n], to the one before ``until``.

        Returns:
            Both W and both E, for the moments as they are kept, each float64 [2, n], and the remaining share of the
            mean, float64 [n]. Rows that were never trained have ``since`` 0.
        """
        if until - self.origin >= len(self._kept):
            self._tabulate(2 * (until - self.origin))
        kept = self._kept.index_select(0, until - since)
        # The sum behind `until` is smaller by the decay of the mean.
        behind = self._sums[:, until - self.origin].unsqueeze(1)
        sums = torch.addcmul(self._sums.index_select(1, since - self.origin), kept, behind, value=-1)
        weights, nodes = _two_points(sums)
        idle = since < until
        return weights.where(idle, 0.0), self.eps * nodes.where(idle, 1.0), kept

    def weight(self, step: int) -> float:
        """Return the factor of a step's squared gradients before they are added to the kept squares."""
        return self.betas[1] ** (self.origin - step)

    def start_at(self, step: int) -> None:
        """Make a step the origin; kept squares have to be divided by the weight that it had before."""
        self.origin = step
        self._tabulate(1024)

    def _tabulate(self, steps: int) -> None:
        """Tabulate the sums to infinity from the origin and from each of ``steps`` steps behind it."""
        step = torch.arange(steps + 1, dtype=torch.float64)
        root = math.sqrt(1 - self.betas[1]) * self.betas[1] ** (0.5 * step)
        sums = [self._sums_to_infinity(power, steps) / root ** (1 + power) for power in _POWERS]
        self._sums = (1 - self.betas[0]) * torch.stack(sums).to(self.device)
        self._kept = (self.betas[0] ** step).to(self.device)

    def _sums_to_infinity(self, power: int, steps: int) -> Tensor:
        """Return the sums over all moves from each step on, for unscaled moments, float64 [steps + 1]."""
        ratio = self.betas[0] / self.betas[1] ** ((1 + power) / 2)
        # Moves behind the horizon are negligible in double precision.
        horizon = steps + math.ceil(40 / -math.log(max(ratio, 1e-9)))
        step = self.origin + torch.arange(horizon + 1, dtype=torch.float64)
        moves = (1 - self.betas[1] ** step) ** ((1 + power) / 2) / (1 - self.betas[0] ** step)
        # The moments of step 0 are 0, so that any finite value will do.
        moves[step == 0] = 1.0
        sums, total = [], 0.0
        for move in reversed(moves.tolist()):
            total = move + ratio * total
            sums.append(total)
        return torch.tensor(sums[::-1], dtype=torch.float64)[: steps + 1]


def _two_points(sums: Tensor) -> tuple[Tensor, Tensor]:
    """Return the weights and nodes, each [2, n], whose sums of the powers -2 to 1 are given, float64 [4, n]."""
    total = sums[0]
    mean, square, cube = sums[1:] / total
    # The variance and skewness of one move are rounding errors, whose quotient can be anything.
    variance = square - mean**2
    spread = variance > _LEAST_VARIANCE * mean**2
    deviation = variance.where(spread, 0.0).sqrt()
    half_skewness = (0.5 * (cube - mean * (3 * variance + mean**2)) / (variance * deviation)).where(spread, 0.0)
    distance = (half_skewness**2 + 1).sqrt()
    from_mean = torch.stack([half_skewness + distance, half_skewness - distance])
    nodes = mean + deviation * from_mean
    return nodes**2 * total / (1 + from_mean**2), nodes
