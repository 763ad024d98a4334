import math
from collections.abc import Callable

import pytest
import torch
from scipy.optimize import brentq
from torch import Tensor

from lightning_modules.check.scoring_rule import SHARES, minimisers, scoring_rule
from lightning_modules.losses import BCE, MSE, Focal, FormulaLoss, Hinge, LogMin, Loss, MaxR, Numerics, SumR

S = 1e-6
BCE_TEXT = "label * log(1 / pred) - (1 - label) * log(1 - pred)"


def asked(loss: Loss, share: float) -> float:
    return scoring_rule(loss).least_at[SHARES.index(share)]


@pytest.mark.parametrize("loss", [BCE(), MSE(), FormulaLoss(BCE_TEXT), FormulaLoss("(label - pred)**2"), Focal(0.0)])
def test_proper_losses_ask_for_the_true_probability(loss: Loss) -> None:
    rule = scoring_rule(loss)
    assert (rule.proper, rule.keeps_order) == ("yes", "strictly")
    assert rule.least_at == pytest.approx(SHARES, abs=1e-5)


class Shifted(Loss):
    """Another loss plus a constant, which may be another one for label 1."""

    def __init__(self, loss: Loss, offset: float, of_label: float = 0.0) -> None:
        super().__init__()
        self.wants = loss.wants  # type: ignore[misc]  # of the class, for most losses
        self.loss, self.offset, self.of_label = loss, offset, of_label

    def forward(self, prediction: Tensor, label: Tensor) -> Tensor:
        return self.loss(prediction, label) + self.of_label * label + self.offset


@pytest.mark.parametrize("offset", [(1e6,), (-1e6,), (1234.5678,), (-7e5, 1e6)])
@pytest.mark.parametrize("loss", [BCE(), MSE(), FormulaLoss(BCE_TEXT), Focal(0.0)])
def test_a_constant_in_a_loss_changes_nothing(loss: Loss, offset: tuple[float, ...]) -> None:
    rule = scoring_rule(Shifted(loss, *offset))
    assert (rule.proper, rule.keeps_order) == ("yes", "strictly")
    assert rule.least_at == pytest.approx(SHARES, abs=1e-4)


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_nor_does_it_make_other_losses_proper(offset: float) -> None:
    for text, proper in {"abs(label - pred)": "no", "pred * 0": "weakly"}.items():
        assert scoring_rule(Shifted(FormulaLoss(text), offset)).proper == proper


def test_the_optimum_of_max_r() -> None:
    # q (1 + s) / (p + s) + (1 - q) (p + s) / s is least where (p + s)^2 = s (1 + s) q / (1 - q).
    rule = scoring_rule(MaxR())
    expected = [math.sqrt(S * (1 + S) * share / (1 - share)) - S for share in SHARES]
    assert rule.least_at == pytest.approx(expected, abs=1e-6)
    assert (rule.proper, rule.keeps_order) == ("no", "strictly")


def test_the_optimum_of_max_r_ends_at_the_range_of_probabilities() -> None:
    # With s = 0.1 the same root is below 0 up to q = 1/12 and above 1 from q = 11/12.
    rule = scoring_rule(MaxR(0.1))
    roots = [math.sqrt(0.11 * share / (1 - share)) - 0.1 for share in SHARES]
    assert rule.least_at == pytest.approx([min(max(root, 1e-6), 1 - 1e-6) for root in roots], abs=1e-5)
    assert (rule.proper, rule.keeps_order) == ("no", "weakly")


def test_the_optimum_of_sum_r() -> None:
    # q (1 + 1 / (p + s)) + (1 - q) (p + s) / s is least where (p + s)^2 = s q / (1 - q).
    rule = scoring_rule(SumR())
    assert rule.least_at == pytest.approx([math.sqrt(S * q / (1 - q)) - S for q in SHARES], abs=1e-6)
    assert (rule.proper, rule.keeps_order) == ("no", "strictly")


def focal_condition(p: float, q: float) -> float:
    with_label = 2 * (1 - p) * math.log(p) - (1 - p) ** 2 / p
    without = -2 * p * math.log(1 - p) + p**2 / (1 - p)
    return q * with_label + (1 - q) * without


def log_min_condition(p: float, q: float) -> float:
    with_label = 2 * math.log(1 / (p + S) + S) - (2 * p + 1) / ((p + S) * (1 + S * (p + S)))
    return q * with_label + (1 - q) * math.log(1 / S + S)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99])
def test_the_optimum_of_focal_solves_the_first_order_condition(share: float) -> None:
    assert asked(Focal(), share) == pytest.approx(brentq(focal_condition, 1e-6, 1 - 1e-6, share), abs=1e-5)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.25, 0.5, 0.75])
def test_the_optimum_of_log_min_solves_the_first_order_condition(share: float) -> None:
    assert asked(LogMin(), share) == pytest.approx(brentq(log_min_condition, 1e-6, 0.49, share), abs=1e-5)


def test_focal_keeps_the_order_and_log_min_ends_at_1() -> None:
    assert (scoring_rule(Focal()).proper, scoring_rule(Focal()).keeps_order) == ("no", "strictly")
    # At q = 0.9 the slope is below 0.9 * (2 log 2 - 4) + 0.1 * 13.82 < 0 everywhere.
    assert asked(LogMin(), 0.9) == pytest.approx(1 - 1e-6)
    assert (scoring_rule(LogMin()).proper, scoring_rule(LogMin()).keeps_order) == ("no", "weakly")


@pytest.mark.parametrize("margin", [1.0, 2.5])
def test_hinge_asks_for_a_margin(margin: float) -> None:
    # q max(0, m - z) + (1 - q) max(0, m + z) falls up to -m, rises from m, and moves by 1 - 2q in between.
    low, high = 1 / (1 + math.exp(margin)), 1 / (1 + math.exp(-margin))
    rule = scoring_rule(Hinge(margin))
    assert rule.least_at == pytest.approx([low] * 49 + [0.5] + [high] * 49, abs=1e-5)
    assert (rule.proper, rule.keeps_order) == ("no", "weakly")


@pytest.mark.parametrize(
    ("text", "least_at", "proper", "keeps_order"),
    [
        ("abs(label - pred)", lambda q: 0 if q < 0.5 else 1 if q > 0.5 else 0.5, "no", "weakly"),
        # The maximum of the squared error in the middle leaves its ends: -q at 0, q - 1 at 1.
        ("-(label - pred)**2", lambda q: 0 if q > 0.5 else 1, "no", "no"),
        ("pred * pred", lambda q: 0, "no", "no"),
        ("pred + label", lambda q: 0, "no", "no"),
        ("label - pred", lambda q: 1, "no", "no"),
        # p^2 - 2 (1 - q) p is least at 1 - q: the higher the share, the lower.
        ("pred**2 - 2 * (1 - label) * pred", lambda q: 1 - q, "no", "no"),
        # p^2 / 2 - q p / 2 is least at q / 2.
        ("pred**2 / 2 - label * pred / 2", lambda q: q / 2, "no", "strictly"),
        # A constant asks for nothing.
        ("label", lambda q: q, "weakly", "no"),
        ("(1 + pred) - pred", lambda q: q, "weakly", "no"),
    ],
)
def test_optima_of_formulas(text: str, least_at: Callable[[float], float], proper: str, keeps_order: str) -> None:
    rule = scoring_rule(FormulaLoss(text))
    asked = [at for share, at in zip(SHARES, rule.least_at, strict=True) if share != 0.5]
    assert asked == pytest.approx([least_at(share) for share in SHARES if share != 0.5], abs=1e-5)
    assert (rule.proper, rule.keeps_order) == (proper, keeps_order)


def test_zero_one_loss_is_weakly_proper() -> None:
    # Wrong side of 0.5 costs 1: every prediction on the side of the likelier label is as good.
    side = "(pred - 0.5) / abs(pred - 0.5)"
    rule = scoring_rule(FormulaLoss(f"(1 - 2 * label) * {side}", Numerics(eps=0.0)))
    assert (rule.proper, rule.keeps_order) == ("weakly", "weakly")
    assert rule.least_at == pytest.approx(SHARES, abs=1e-5)


def test_all_places_of_a_tie_are_found() -> None:
    least = minimisers(Hinge(), torch.tensor([0.5], dtype=torch.float64))
    low, high = 1 / (1 + math.e), math.e / (1 + math.e)
    assert [float(least.lowest), float(least.nearest), float(least.highest)] == pytest.approx(
        [low, 0.5, high], abs=1e-3
    )


def test_a_proper_loss_stays_proper_far_from_zero() -> None:
    rule = scoring_rule(FormulaLoss("(label - pred)**2 + 1000"))
    assert rule.proper == "yes"
    assert rule.least_at == pytest.approx(SHARES, abs=1e-5)


def test_a_loss_that_is_nowhere_a_number_asks_for_nothing() -> None:
    rule = scoring_rule(FormulaLoss("log(label - label)", Numerics(eps=0.0)))
    assert all(math.isnan(at) for at in rule.least_at)
    assert (rule.proper, rule.keeps_order) == ("no", "no")
