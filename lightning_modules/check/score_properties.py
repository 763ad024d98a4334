"""Properties of a loss of scores as a training objective: the direction of its gradient, finiteness, invariance."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lightning_modules.losses import FormulaBased, ListwiseLoss
from lightning_modules.losses.score_curves import OfScores, of_scores

#: Numbers of negatives of the rows that are looked at.
NEGATIVES = (1, 8, 64)

_ROUNDING = 1e-9
_ENDS = (-100.0, -1.0, 0.0, 1.0, 100.0)


@dataclass(frozen=True)
class ScoreCheckResult:
    """The properties of a loss of scores that :func:`check_scores` computes.

    Attributes:
        formula: The formula's text, or the name of a hand-made loss.
        right_share: Share of the right signs: the loss does not rise with the positive's score, and not fall with that
            of any negative of the row.
        right_share_unclamped: The same without the clamp after every operator.
        keep: Whether the loss depends on positives and on negatives, and enough signs are right.
        monotone: Whether all signs are right.
        finite: Whether the loss and its derivatives are finite in single precision for scores from -100 to 100.
        max_gradient: Largest absolute derivative by a score, for cosines.
        falls_with_positive: Share of rows in which the loss does not rise with the positive's score.
        rises_with_negatives: Share of rows in which it does not fall with that of any negative.
        joint_share_1: Share of the rows of one negative in which both are so.
        joint_share_8: The same for rows of 8 negatives.
        joint_share_64: The same for rows of 64 negatives.
        hardest_share: Share that the negative with the highest score of 8 has in the derivatives by all, on average.
        ignores_shift: Whether adding a number to all scores of a row changes nothing.
        simplified: The formula in its shortest form, as tables show it; empty for a hand-made loss.
        latex: The formula in LaTeX; empty for a hand-made loss.
    """

    formula: str
    right_share: float
    right_share_unclamped: float
    keep: bool
    monotone: bool
    finite: bool
    max_gradient: float
    falls_with_positive: float
    rises_with_negatives: float
    joint_share_1: float
    joint_share_8: float
    joint_share_64: float
    hardest_share: float
    ignores_shift: bool
    simplified: str
    latex: str

    def as_row(self) -> dict[str, Any]:
        """Return the properties by column."""
        return asdict(self)


class Rows(NamedTuple):
    """Rows of one number of negatives: scores of positives, float64 [n], and of negatives, float64 [n, N]."""

    positive: Tensor
    negative: Tensor


class Slopes(NamedTuple):
    """Derivatives by the scores of :class:`Rows`."""

    by_positive: Tensor
    by_negative: Tensor

    @property
    def falls(self) -> Tensor:
        """Rows in which the loss does not rise with the positive's score, bool [n]."""
        return self.by_positive <= self._rounding

    @property
    def rises(self) -> Tensor:
        """Rows in which the loss does not fall with any negative's score, bool [n]."""
        return (self.by_negative >= -self._rounding[:, None]).all(dim=1)

    @property
    def _rounding(self) -> Tensor:
        """What rounding may make of a derivative of 0, float [n]; one row's are not measured by another's."""
        return _ROUNDING * torch.maximum(self.by_positive.abs(), self.by_negative.abs().amax(dim=1))


def check_scores(
    loss: ListwiseLoss, *, generator: torch.Generator, points: int = 1000, threshold: int = 1200
) -> ScoreCheckResult:
    """Check a loss of scores at cosines, uniform in [-1, 1].

    Args:
        loss: Any listwise loss.
        generator: Draws the cosines.
        points: Number of rows, a third of each number of negatives, at least one.
        threshold: A loss is kept if more than this many of the 2 x ``points`` signs are right.
    """
    formula = loss if isinstance(loss, FormulaBased) else None
    value, rows = of_scores(loss), _drawn(points, generator)
    slopes = [_slopes(value, each) for each in rows]
    unclamped = value if formula is None else of_scores(formula.unclamped())
    falls, rises = torch.cat([each.falls for each in slopes]), torch.cat([each.rises for each in slopes])
    joint = dict(zip(NEGATIVES, [float((each.falls & each.rises).double().mean()) for each in slopes], strict=True))
    right = int(falls.sum() + rises.sum())
    return ScoreCheckResult(
        formula=loss.title,
        right_share=_right_share(slopes),
        right_share_unclamped=_right_share([_slopes(unclamped, each) for each in rows]),
        keep=_moves(slopes) and right > threshold,
        monotone=_moves(slopes) and right == 2 * len(falls),
        finite=_is_finite(value),
        max_gradient=max(float(each.abs().max()) for both in slopes for each in both),
        falls_with_positive=float(falls.double().mean()),
        rises_with_negatives=float(rises.double().mean()),
        joint_share_1=joint[1],
        joint_share_8=joint[8],
        joint_share_64=joint[64],
        hardest_share=_hardest_share(rows[1], slopes[1]),
        ignores_shift=all(torch.allclose(value(*each), value(*_shifted(each)), rtol=1e-6, atol=1e-9) for each in rows),
        simplified="" if formula is None else formula.formula.shortest(),
        latex="" if formula is None else formula.latex,
    )


def _drawn(points: int, generator: torch.Generator) -> list[Rows]:
    sizes = [max(1, len(part)) for part in torch.arange(points).tensor_split(len(NEGATIVES))]
    return [
        Rows(
            *(2 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1 for shape in ((size,), (size, count)))
        )
        for size, count in zip(sizes, NEGATIVES, strict=True)
    ]


def _slopes(value: OfScores, rows: Rows) -> Slopes:
    given = [each.clone().requires_grad_() for each in rows]
    return Slopes(*torch.autograd.grad(value(*given).sum(), given))


def _moves(slopes: Sequence[Slopes]) -> bool:
    """Whether the loss depends on positives somewhere, and on negatives."""
    return all(any(bool(each[kind].abs().max() > 0) for each in slopes) for kind in (0, 1))


def _right_share(slopes: Sequence[Slopes]) -> float:
    return float(torch.cat([torch.cat([each.falls, each.rises]) for each in slopes]).double().mean())


def _hardest_share(rows: Rows, slopes: Slopes) -> float:
    """Return the mean share of the hardest negative in the derivatives; nan where there are none."""
    size = slopes.by_negative.abs()
    hardest = size.gather(1, rows.negative.argmax(dim=1, keepdim=True)).squeeze(1)
    return float((hardest / size.sum(dim=1)).nanmean())


def _shifted(rows: Rows) -> Rows:
    shift = torch.linspace(-0.5, 0.5, len(rows.positive), dtype=torch.float64)
    return Rows(rows.positive + shift, rows.negative + shift[:, None])


def _is_finite(value: OfScores) -> bool:
    """Whether value and derivatives are finite at all combinations of a positive, one negative and seven others."""
    ends = torch.tensor(_ENDS)
    positive, first, others = torch.cartesian_prod(ends, ends, ends).unbind(1)
    rows = Rows(positive, torch.cat([first[:, None], others[:, None].expand(-1, 7)], dim=1))
    return all(bool(each.isfinite().all()) for each in (value(*rows), *_slopes(value, rows)))
