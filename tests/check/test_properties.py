import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightning_modules.check import CheckResult
from lightning_modules.losses import BCE, MSE, Focal, FormulaLoss, Hinge, LogMin, Loss, MaxR, Numerics, SumR

Find = Callable[..., CheckResult]
S = 1e-6
BCE_TEXT = "label * log(1 / pred) - (1 - label) * log(1 - pred)"


@pytest.mark.parametrize("loss", [BCE(), MSE(), Focal(), MaxR(), SumR(), LogMin(), FormulaLoss(BCE_TEXT)], ids=str)
def test_usual_losses_go_the_right_way_everywhere(find: Find, loss: Loss) -> None:
    found = find(loss)
    assert (found.right_share, found.right_share_label_0, found.right_share_label_1) == (1, 1, 1)
    assert found.right_share_unclamped == 1
    assert (found.monotone_label_0, found.monotone_label_1) == ("rising", "falling")
    assert found.keep
    assert found.monotone
    assert found.finite
    assert found.finite_unclamped
    assert found.depends_on_label
    assert found.gradient_depends_on_label


@pytest.mark.parametrize(
    ("loss", "largest"),
    [
        # 2 |p - y| at the ends of [1e-6, 1 - 1e-6].
        (MSE(), 2 * (1 - 1e-6)),
        # 1 / p at p = 1e-6.
        (BCE(), 1e6),
        # 1 / (p + eps) there.
        (FormulaLoss(BCE_TEXT), 5e5),
        # Label 1 falls as (1 + s) / (p + s); label 0 rises with the slope 1 / s only.
        (MaxR(), (1 + S) / (2 * S) ** 2),
        # Label 1 falls as 1 + 1 / (p + s).
        (SumR(), 1 / (2 * S) ** 2),
        # Label 0 rises with the slope 1 / s, label 1 falls from (1 + s) / s: 1.1 / 0.1^2 = 110.
        (MaxR(0.1), 1.1 / (0.1 + 1e-6) ** 2),
        # -(2p + 1) / (p + s) + 2 log(1 / (p + s)), the s outside of the fraction is below rounding.
        (LogMin(), (1 + 2e-6) / 2e-6 - 2 * math.log(1 / 2e-6)),
        # d/dp of -(1 - p)^2 log p.
        (Focal(), (1 - 1e-6) ** 2 / 1e-6 - 2 * (1 - 1e-6) * math.log(1e-6)),
        # d sigma^-1(p) / dp = 1 / (p (1 - p)), which is largest inside the margin's reach at the ends.
        (Hinge(), 1e6 / (1 - 1e-6)),
        (FormulaLoss("pred + label"), 1),
        (FormulaLoss("label"), 0),
    ],
    ids=str,
)
def test_largest_slopes(find: Find, loss: Loss, largest: float) -> None:
    assert find(loss).max_gradient == pytest.approx(largest, rel=1e-8)


def test_largest_slopes_by_the_logit(find: Find) -> None:
    # sigma - y reaches 1, and so does the hinge's slope.
    assert find(BCE()).max_logit_gradient == 1
    assert find(Hinge()).max_logit_gradient == 1
    # 2 p^2 (1 - p) is largest at p = 2/3.
    assert find(MSE()).max_logit_gradient == pytest.approx(8 / 27, rel=1e-5)
    # p (1 - p) / (p + s)^2 is largest near p = s.
    assert find(MaxR()).max_logit_gradient == pytest.approx(1 / (4 * S), rel=1e-3)
    p = np.linspace(1e-4, 1 - 1e-4, 100_001)
    focal = (2 * (1 - p) * np.log(p) - (1 - p) ** 2 / p) * p * (1 - p)
    assert find(Focal()).max_logit_gradient == pytest.approx(np.abs(focal).max(), rel=1e-5)


def test_hinge_is_right_up_to_the_margin(find: Find) -> None:
    found = find(Hinge(margin=2.0), points=20_000, threshold=30_000)
    # The slope of label 1 ends at the logit 2, that of label 0 at -2: sigma(2) of all predictions each.
    assert found.right_share_label_0 == pytest.approx(0.8808, abs=0.01)
    assert found.right_share_label_1 == pytest.approx(0.8808, abs=0.01)
    assert found.monotone
    assert found.keep


@pytest.mark.parametrize(
    ("text", "depends", "gradient_depends", "right", "directions"),
    [
        ("pred * pred", False, False, 0.5, ("rising", "rising")),
        ("pred + label", True, False, 0.5, ("rising", "rising")),
        ("label", True, False, 0.0, ("constant", "constant")),
        ("1", False, False, 0.0, ("constant", "constant")),
        ("abs(label - pred)", True, True, 1.0, ("rising", "falling")),
        ("-(label - pred)**2", True, True, 0.0, ("falling", "rising")),
        # -1 / p and 1 / (1 - p): both rise.
        ("1 / (label - pred)", True, True, 0.5, ("rising", "rising")),
        # The pole jumps from the lowest to the highest value: down on both sides of it, up in between.
        ("1 / (pred - 0.5)", False, False, 0.5, ("neither", "neither")),
        # The protected log has a jump at 0, here downwards, and rises on both sides of it.
        ("log(pred - 0.5) * label + pred", True, True, 0.5, ("rising", "neither")),
        # Never falling is enough: both are flat over one half.
        ("max(pred, 0.5) - 2 * label * max(pred, 0.5)", True, True, 0.5, ("rising", "falling")),
    ],
)
def test_directions(
    find: Find, text: str, depends: bool, gradient_depends: bool, right: float, directions: tuple[str, str]
) -> None:
    found = find(FormulaLoss(text))
    assert found.depends_on_label is depends
    assert found.gradient_depends_on_label is gradient_depends
    assert found.right_share == pytest.approx(right, abs=0.03)
    assert (found.monotone_label_0, found.monotone_label_1) == directions
    assert found.monotone == (directions[0] in ("rising", "constant") and directions[1] in ("falling", "constant"))


def test_a_loss_is_kept_with_more_right_signs_than_the_threshold(find: Find) -> None:
    assert find(MSE(), points=50, threshold=99).keep
    assert not find(MSE(), points=50, threshold=100).keep
    # Right for label 0, and below 0.5 for label 1.
    three_quarters = FormulaLoss("(1 - label) * pred + label * abs(pred - 0.5)")
    assert find(three_quarters).keep
    assert not find(three_quarters, threshold=1600).keep


def test_a_loss_without_the_label_is_not_kept_however_right(find: Find) -> None:
    assert not find(FormulaLoss("pred"), threshold=500).keep
    assert find(FormulaLoss("pred + label"), threshold=500).keep


def test_the_published_clamp_takes_the_slopes_that_the_formula_has(find: Find) -> None:
    # -pred is below the published clamp, so that only the label is left.
    text = "(label - pred)**2"
    published, protected = find(FormulaLoss(text, "autolossgen")), find(FormulaLoss(text))
    assert (published.right_share, published.right_share_unclamped) == (0, 1)
    assert (published.keep, protected.keep) == (False, True)
    assert published.monotone_label_0 == "constant"
    assert published.depends_on_label
    assert not published.gradient_depends_on_label


def test_an_overflow_that_the_clamp_prevents(find: Find) -> None:
    # Without the clamp the slope, of the order p^-7, exceeds single precision at p = 1e-6.
    found = find(FormulaLoss("label * (1 / pred)**2 * ((1 / pred)**2)**2"))
    assert (found.finite, found.finite_unclamped) == (True, False)


@pytest.mark.parametrize("text", ["log(pred)", "1 / pred", "label * log(1 - pred)"])
def test_without_eps_the_ends_are_not_finite(find: Find, text: str) -> None:
    found = find(FormulaLoss(text, Numerics(eps=0.0)))
    assert not found.finite
    assert find(FormulaLoss(text)).finite


def test_names_and_texts(find: Find) -> None:
    formula = find(FormulaLoss("-(-label) * pred"))
    assert (formula.formula, formula.simplified) == ("-(-label) * pred", "pred * label")
    assert formula.latex == FormulaLoss("-(-label) * pred").formula.latex()
    hand_made = find(Focal(gamma=1.0))
    assert (hand_made.formula, hand_made.simplified, hand_made.latex) == ("Focal(gamma=1.0)", "", "")


def test_columns(find: Find) -> None:
    row = find(MSE()).as_row()
    assert list(row)[:6] == [
        "formula",
        "depends_on_label",
        "right_share",
        "right_share_unclamped",
        "keep",
        "monotone",
    ]
    assert list(row)[6:10] == ["finite", "max_gradient", "proper", "simplified"]
    assert [name for name in row if name.startswith("least_at")] == [
        f"least_at_{share}" for share in ("0.1", "0.25", "0.5", "0.75", "0.9")
    ]
    assert row["least_at_0.25"] == pytest.approx(0.25, abs=1e-5)


def test_the_generator_alone_decides_the_points(find: Find) -> None:
    assert find(Hinge()) == find(Hinge())


BASES = (
    BCE_TEXT,
    "(label - pred)**2",
    "abs(label - pred)",
    "-(label - pred)**2",
    "pred + label",
    "max(label, pred) - min(label, pred) * pred",
    "exp(pred - 2 * label * pred)",
    "label / (pred + 0.1) + pred",
    "log(pred - 0.5) * label",
    "pred**2 - label * pred",
)
VERDICTS = [
    "depends_on_label",
    "gradient_depends_on_label",
    "right_share",
    "monotone_label_0",
    "monotone_label_1",
    "keep",
    "proper",
]


@given(
    base=st.sampled_from(BASES), factor=st.floats(0.01, 100), offset=st.floats(0, 100), sign=st.sampled_from(["+", "-"])
)
def test_properties_do_not_depend_on_scale_and_offset(
    find: Find, base: str, factor: float, offset: float, sign: str
) -> None:
    found = find(FormulaLoss(base), points=50, threshold=60)
    moved = find(FormulaLoss(f"{factor!r} * ({base}) {sign} {offset!r}"), points=50, threshold=60)
    assert [getattr(moved, name) for name in VERDICTS] == [getattr(found, name) for name in VERDICTS]
    assert moved.keeps_order == found.keeps_order
    assert moved.least_at == pytest.approx(found.least_at, abs=1e-4)
    assert moved.max_gradient == pytest.approx(factor * found.max_gradient, rel=1e-6)
