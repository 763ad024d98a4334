"""Properties of a loss as a training objective: gradient signs, monotony, finiteness, scoring rule."""

from dataclasses import dataclass, fields
from typing import Any, Literal

import torch
from torch import Tensor

from lightning_modules.check.curves import LOWEST_PRED, Curves, curves_over_logit, curves_over_pred, pred_grid
from lightning_modules.check.scoring_rule import SHARES, scoring_rule
from lightning_modules.losses import FormulaLoss, Loss

Direction = Literal["rising", "falling", "constant", "neither"]

#: Shares of label 1 whose best prediction is reported.
REPORTED_SHARES = (0.1, 0.25, 0.5, 0.75, 0.9)

_GRID_POINTS = 2001
_HIGHEST_LOGIT = 100.0
_ROUNDING = 1e-10


@dataclass(frozen=True)
class CheckResult:
    """The properties of a loss that :func:`check_loss` computes.

    Attributes:
        formula: The formula's text, or the name of a hand-made loss.
        depends_on_label: Whether the loss differs between the labels anywhere.
        right_share: Share of the derivatives' signs that are right: negative for label 1 and positive for label 0.
        right_share_unclamped: The same without the clamp after every operator.
        keep: Whether the loss depends on the label and enough signs are right.
        monotone: Whether the loss never falls in the prediction for label 0 and never rises for label 1.
        finite: Whether the loss and its derivative by the logit are finite in single precision for logits from -100 to
            100, where the prediction is exactly 0 and 1.
        max_gradient: Largest absolute derivative by the prediction on a grid of predictions from 1e-6 to 1 - 1e-6; at a
            pole between 0 and 1 it depends on how close the grid comes.
        proper: Whether the loss is a strictly proper scoring rule: ``yes``, ``weakly`` (proper) or ``no``.
        simplified: The formula in its shortest form, as tables show it; empty for a hand-made loss.
        latex: The formula in LaTeX; empty for a hand-made loss.
        right_share_label_0: Share of right signs for label 0.
        right_share_label_1: Share of right signs for label 1.
        monotone_label_0: How the loss moves with the prediction for label 0.
        monotone_label_1: The same for label 1.
        gradient_depends_on_label: Whether the derivative differs between the labels anywhere.
        finite_unclamped: ``finite`` without the clamp.
        max_logit_gradient: Largest absolute derivative by the logit, for logits from -100 to 100.
        least_at: The prediction with the least expected loss where label 1 has one of :data:`REPORTED_SHARES`.
        keeps_order: Whether a higher share has a higher such prediction: ``strictly``, ``weakly`` or ``no``.
    """

    formula: str
    depends_on_label: bool
    right_share: float
    right_share_unclamped: float
    keep: bool
    monotone: bool
    finite: bool
    max_gradient: float
    proper: Literal["yes", "weakly", "no"]
    simplified: str
    latex: str
    right_share_label_0: float
    right_share_label_1: float
    monotone_label_0: Direction
    monotone_label_1: Direction
    gradient_depends_on_label: bool
    finite_unclamped: bool
    max_logit_gradient: float
    least_at: dict[float, float]
    keeps_order: Literal["strictly", "weakly", "no"]

    def as_row(self) -> dict[str, Any]:
        """Return the properties by column; ``least_at`` becomes a column for every share, such as ``least_at_0.5``."""
        row: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            row |= {f"least_at_{share:g}": at for share, at in value.items()} if field.name == "least_at" else {}
            row |= {field.name: value} if field.name != "least_at" else {}
        return row


def check_loss(loss: Loss, *, generator: torch.Generator, points: int = 1000, threshold: int = 1200) -> CheckResult:
    """Check a loss; the signs are counted as in AutoLossGen (Li et al., SIGIR 2022, https://arxiv.org/abs/2204.13160).

    Args:
        loss: Any loss of one prediction.
        generator: Draws the predictions at which signs are counted, uniform in [1e-6, 1 - 1e-6].
        points: Number of these predictions; each meets both labels.
        threshold: A loss is kept if more than this many of the 2 x ``points`` signs are right.
    """
    formula = loss if isinstance(loss, FormulaLoss) else None
    unclamped = loss if formula is None else formula.unclamped()
    pred = _drawn(points, generator)
    right = _right_signs(loss, pred)
    dense = curves_over_pred(loss, pred_grid(_GRID_POINTS))
    directions = _direction(dense.value[0]), _direction(dense.value[1])
    depends_on_label = _differs(dense.value)
    rule = scoring_rule(loss)
    return CheckResult(
        formula=loss.title,
        depends_on_label=depends_on_label,
        right_share=_share(right),
        right_share_unclamped=_share(_right_signs(unclamped, pred)),
        keep=depends_on_label and int(right.sum()) > threshold,
        monotone=directions[0] in ("rising", "constant") and directions[1] in ("falling", "constant"),
        finite=_over_all_logits(loss, torch.float32).is_finite,
        max_gradient=_largest(dense.by_pred),
        proper=rule.proper,
        simplified="" if formula is None else formula.formula.shortest(),
        latex="" if formula is None else formula.latex,
        right_share_label_0=_share(right[0]),
        right_share_label_1=_share(right[1]),
        monotone_label_0=directions[0],
        monotone_label_1=directions[1],
        gradient_depends_on_label=_differs(dense.by_pred),
        finite_unclamped=_over_all_logits(unclamped, torch.float32).is_finite,
        max_logit_gradient=max(_largest(dense.by_logit), _largest(_over_all_logits(loss, torch.float64).by_logit)),
        least_at={share: rule.least_at[SHARES.index(share)] for share in REPORTED_SHARES},
        keeps_order=rule.keeps_order,
    )


def _drawn(points: int, generator: torch.Generator) -> Tensor:
    uniform = torch.rand(points, generator=generator, dtype=torch.float64)
    return LOWEST_PRED + (1 - 2 * LOWEST_PRED) * uniform


def _right_signs(loss: Loss, pred: Tensor) -> Tensor:
    """Return which derivatives have the right sign, ``[2, points]``."""
    without, with_label = curves_over_pred(loss, pred).by_logit
    return torch.stack([without > 0, with_label < 0])


def _over_all_logits(loss: Loss, dtype: torch.dtype) -> Curves:
    return curves_over_logit(loss, torch.linspace(-_HIGHEST_LOGIT, _HIGHEST_LOGIT, _GRID_POINTS, dtype=dtype))


def _direction(value: Tensor) -> Direction:
    """Return whether values rise or fall over rising predictions, jumps included.

    Differences within rounding do not count. Half the points are at equal distances, so that the median is the size of
    the loss away from its poles.
    """
    if not value.isfinite().all():
        return "neither"
    highest, lowest = value.cummax(0).values, value.cummin(0).values
    size = torch.maximum(value.abs(), value.abs().median())
    rises = bool((value - lowest > _ROUNDING * torch.maximum(size, lowest.abs())).any())
    falls = bool((highest - value > _ROUNDING * torch.maximum(size, highest.abs())).any())
    if rises and falls:
        return "neither"
    return "rising" if rises else "falling" if falls else "constant"


def _differs(curves: Tensor) -> bool:
    """Whether the labels' curves, ``[2, points]``, are further apart anywhere than rounding takes them."""
    return not torch.isclose(curves[0], curves[1], rtol=_ROUNDING, atol=1e-12, equal_nan=True).all()


def _share(right: Tensor) -> float:
    return float(right.double().mean())


def _largest(gradient: Tensor) -> float:
    return float(gradient.abs().max())
