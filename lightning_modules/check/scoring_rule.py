"""Whether a loss is a proper scoring rule: its expected value is least at the true probability."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from lightning_modules.check.curves import pred_grid, values
from lightning_modules.losses import Loss

#: The shares ``q`` of label 1 at which a loss is examined.
SHARES = tuple(percent / 100 for percent in range(1, 100))

_CLOSE = 1e-4
_COARSE_POINTS = 1001
_FINE_POINTS = 320
# Expected losses this close, relative to the range of the losses, are equal but for rounding.
_ROUNDING = 64 * torch.finfo(torch.float64).eps
# A constant in a loss is added last: only that sum and the mean over both labels round it.
_OFFSET_ROUNDING = 4 * torch.finfo(torch.float64).eps


@dataclass(frozen=True)
class ScoringRule:
    """A loss as a scoring rule (Gneiting and Raftery, JASA 2007, https://doi.org/10.1198/016214506000001437).

    Attributes:
        proper: ``yes`` if the expected loss ``q L(p, 1) + (1 - q) L(p, 0)`` is least where ``p`` is ``q`` and nowhere
            else, ``weakly`` if it is least there among other places, otherwise ``no``.
        keeps_order: Whether a higher share has a higher minimiser, as ranking needs it: ``strictly`` if always,
            ``weakly`` if never a lower one, otherwise ``no``.
        least_at: The minimiser at each of :data:`SHARES`, the nearest to the share if there are several.
    """

    proper: Literal["yes", "weakly", "no"]
    keeps_order: Literal["strictly", "weakly", "no"]
    least_at: tuple[float, ...]


@dataclass(frozen=True)
class Minimisers:
    """The predictions with the least expected loss, for every share: float64 ``[shares]``, nan if never finite.

    Attributes:
        lowest: The lowest of them.
        highest: The highest.
        nearest: The nearest to the share.
        resolution: The largest error of these.
    """

    lowest: Tensor
    highest: Tensor
    nearest: Tensor
    resolution: Tensor


def scoring_rule(loss: Loss) -> ScoringRule:
    """Examine a loss over predictions from 1e-6 to 1 - 1e-6; minimisers are exact to about 1e-5."""
    share = torch.tensor(SHARES, dtype=torch.float64)
    least = minimisers(loss, share)
    return ScoringRule(_proper(least, share), _keeps_order(least), tuple(least.nearest.tolist()))


def minimisers(loss: Loss, share: Tensor) -> Minimisers:
    """Minimise the expected loss: on a coarse grid first, then on a fine one around the minimum.

    Args:
        loss: The loss.
        share: Shares of label 1 strictly between 0 and 1, float64 ``[shares]``.
    """
    column = share[:, None]
    grid = pred_grid(_COARSE_POINTS)
    curves = values(loss, grid)
    coarse = _expected(curves, column)
    least, rounding = _least(coarse, curves, share)
    place = _nearest(coarse, least + rounding, grid, column)
    below, above = grid[(place - 1).clamp(min=0)], grid[(place + 1).clamp(max=len(grid) - 1)]
    pred = torch.cat([_between(below, above), torch.stack([grid[place], share.clamp(below, above)], 1)], 1)
    fine = _expected(values(loss, pred), column)
    limit = torch.minimum(least, fine.amin(1)) + rounding
    ends = zip(_ends(coarse, limit, grid), _ends(fine, limit, pred), strict=True)
    lowest, highest = (torch.stack(each) for each in ends)
    nearest = pred.gather(1, _nearest(fine, limit, pred, column)[:, None]).squeeze(1)
    lowest, highest, nearest = (
        each.masked_fill(~limit.isfinite(), torch.nan) for each in (lowest.amin(0), highest.amax(0), nearest)
    )
    return Minimisers(lowest, highest, nearest, resolution=(above - below) / _FINE_POINTS)


def _expected(curves: Tensor, share: Tensor) -> Tensor:
    """Return the expected loss, ``[shares, points]``; nan counts as infinite."""
    without, with_label = curves
    return torch.lerp(without, with_label, share).nan_to_num(torch.inf, torch.inf, -torch.inf)


def _least(expected: Tensor, curves: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
    """Return the least expected loss of every share and its rounding error."""
    least, place = expected.min(1)
    lowest = curves.masked_fill(~curves.isfinite(), torch.inf).amin(1, keepdim=True)
    at = curves[:, place]
    rounding = _ROUNDING * (at - lowest) + _OFFSET_ROUNDING * at.abs()
    return least, torch.lerp(rounding[0], rounding[1], share)


def _nearest(expected: Tensor, limit: Tensor, pred: Tensor, share: Tensor) -> Tensor:
    """Return the place of the prediction nearest to the share among those with an expected loss up to the limit."""
    distance = (pred - share).abs_()
    return distance.masked_fill_(expected > limit[:, None], torch.inf).argmin(1)


def _between(below: Tensor, above: Tensor) -> Tensor:
    """Return predictions at equal distances between two bounds for every share, both included."""
    steps = torch.linspace(0, 1, _FINE_POINTS + 1, dtype=torch.float64)
    return torch.lerp(below[:, None], above[:, None], steps)


def _ends(expected: Tensor, limit: Tensor, pred: Tensor) -> tuple[Tensor, Tensor]:
    """Return the lowest and the highest prediction of every share with an expected loss up to the limit."""
    beyond = ~(expected <= limit[:, None])
    pred = pred.expand_as(expected)
    return pred.masked_fill(beyond, torch.inf).amin(1), pred.masked_fill(beyond, -torch.inf).amax(1)


def _proper(least: Minimisers, share: Tensor) -> Literal["yes", "weakly", "no"]:
    if not ((least.nearest - share).abs() <= _CLOSE).all():
        return "no"
    is_alone = (least.lowest >= share - _CLOSE) & (least.highest <= share + _CLOSE)
    return "yes" if is_alone.all() else "weakly"


def _keeps_order(least: Minimisers) -> Literal["strictly", "weakly", "no"]:
    step = torch.maximum(least.resolution[:-1], least.resolution[1:])
    if (least.lowest[1:] - least.highest[:-1] > step).all():
        return "strictly"
    never_falls = all((end.diff() >= -step).all() for end in (least.lowest, least.highest))
    rises = least.lowest[-1] - least.highest[0] > step.amax()
    return "weakly" if never_falls and rises else "no"
