"""How far Adam moves weights that get no gradient."""

import math

import torch
from torch import Tensor

# From here on the error of one term is below a thousandth of a move, for gradients as small as eps; else far below.
_LAST_STEP_OF_TWO_TERMS = 256


class IdleMoves:
    r"""Sums Adam's moves over steps without gradient.

    With moments :math:`m, v` after step :math:`t`, the moves of the steps :math:`t \le s < T` add up to

    .. math:: \sum_s \frac{m \beta_1^{s-t} / (1 - \beta_1^s)}{\sqrt{v \beta_2^{s-t} / (1 - \beta_2^s)} + \epsilon}
        = m \sum_s \frac{w_s}{\sqrt v + g_s \epsilon} \approx m \sum_{i=1}^2 \frac{W_i}{\sqrt v + E_i}

    times the learning rate. The two terms are the Gauss quadrature of the many, whose first four moments
    :math:`\sum_s w_s g_s^p` they share: exact for one or two moves, up to the fourth power of
    :math:`\epsilon / \sqrt v` for more. Later in training, where the :math:`g_s` of some steps are all but equal, a
    single term does. A moment is a difference of two sums to infinity, :math:`A_p(t) - r_p^{T-t} A_p(T)` with
    :math:`r_p = \beta_1 / \beta_2^{(1+p)/2}`, of which there is a table.

    The moments are kept as ``m / (1 - beta1)`` and ``v / (1 - beta2) / beta2 ** (t - origin)``.

    Args:
        betas: Adam's; the first must be smaller than the square of the second, or the sums have no end.
        eps: Adam's.
        device: Where to compute.
    """

    def __init__(self, betas: tuple[float, float], eps: float, device: torch.device) -> None:
        self.betas = betas
        self.eps = eps
        self.device = device
        self.origin = 0
        self._tabulate(1024)

    def __call__(self, since: Tensor, until: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return the moves of the steps from ``since``, int64 [n], to the one before ``until``.

        Returns:
            All W and all E, for the moments as they are kept, each float64 [terms, n], and what is left of the mean,
            float64 [n]. Rows that were never trained are those of step 0.
        """
        if until >= len(self._kept):
            self._tabulate(2 * until)
        kept = self._kept.index_select(0, until - since)
        # What lies behind `until` is smaller by the decay of the mean.
        moments = torch.addcmul(self._sums.index_select(1, since), kept, self._sums[:, until : until + 1], value=-1)
        quadrature = _two_points if until <= _LAST_STEP_OF_TWO_TERMS else _one_point
        weights, nodes = quadrature(moments)
        return weights, self.eps * nodes, kept

    def weight(self, step: int) -> float:
        """Return what a step's squared gradients are multiplied by before they are added to the kept squares."""
        return self.betas[1] ** (self.origin - step)

    def start_at(self, step: int) -> None:
        """Let a step's weight be 1; kept squares have to be divided by the weight that it had before."""
        self.origin = step
        self._tabulate(len(self._kept) - 1)

    def _tabulate(self, steps: int) -> None:
        step = torch.arange(steps + 1, dtype=torch.float64)
        root = math.sqrt(1 - self.betas[1]) * self.betas[1] ** (0.5 * (step - self.origin))
        sums = [self._sum_to_infinity(power, steps) / root ** (1 + power) for power in range(4)]
        self._sums = (1 - self.betas[0]) * torch.stack(sums).to(self.device)
        self._kept = (self.betas[0] ** step).to(self.device)

    def _sum_to_infinity(self, power: int, steps: int) -> Tensor:
        """Return the sums over all moves from each step on, of unscaled moments, float64 [steps + 1]."""
        ratio = self.betas[0] / self.betas[1] ** ((1 + power) / 2)
        # What lies behind the horizon adds nothing in double precision.
        horizon = steps + math.ceil(40 / -math.log(max(ratio, 1e-9)))
        step = torch.arange(1, horizon + 1, dtype=torch.float64)
        moves = (1 - self.betas[1] ** step) ** ((1 + power) / 2) / (1 - self.betas[0] ** step)
        sums, total = [], 0.0
        # Nothing moves in step 0, whose moments are 0, but moments of 1 can be divided by.
        for move in reversed([1.0, *moves.tolist()]):
            total = move + ratio * total
            sums.append(total)
        return torch.tensor(sums[::-1], dtype=torch.float64)[: steps + 1]


def _one_point(moments: Tensor) -> tuple[Tensor, Tensor]:
    """Return the weight and node, each [1, n], with the moments of the powers 0 and 1; see :func:`_two_points`."""
    return moments[:1], moments[1:2] / moments[:1]


def _two_points(moments: Tensor) -> tuple[Tensor, Tensor]:
    """Return the weights and nodes, each [2, n], with the moments of the powers 0 to 3, float64 [4, n]."""
    total = moments[0]
    mean, square, cube = moments[1:] / total
    # Equal moves have no variance but what rounding leaves, and no skewness.
    variance = torch.maximum(square - mean**2, 1e-9 * mean**2)
    deviation = variance.sqrt()
    half_skewness = 0.5 * (cube - mean * (3 * variance + mean**2)) / (variance * deviation)
    distance = (half_skewness**2 + 1).sqrt()
    nodes = torch.stack([half_skewness + distance, half_skewness - distance])
    return total / (1 + nodes**2), mean + deviation * nodes
