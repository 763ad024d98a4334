"""The check of losses of scores: direction, finiteness and invariance."""

import pandas as pd
import pytest
import torch

from lightning_modules.check import ScoreCheckResult, check_scores
from lightning_modules.check.command import run_check
from lightning_modules.check.settings import CheckSettings
from lightning_modules.losses import (
    BSL,
    CCL,
    MSE,
    ListwiseLoss,
    RankingFormulaLoss,
    SampledBPR,
    SampledSoftmax,
    SLatK,
    Talos,
)


def check(loss: ListwiseLoss | str) -> ScoreCheckResult:
    loss = RankingFormulaLoss(loss) if isinstance(loss, str) else loss
    return check_scores(loss, generator=torch.Generator().manual_seed(0), points=90, threshold=108)


@pytest.mark.parametrize(
    "loss", [SampledSoftmax(), SampledBPR(), CCL(margin=0.0), Talos(), "log(1 + sum(relu(1 + gap_t)))"]
)
def test_losses_that_rank_are_right_everywhere(loss: ListwiseLoss | str) -> None:
    found = check(loss)
    assert (found.right_share, found.falls_with_positive, found.rises_with_negatives) == (1, 1, 1)
    assert found.joint_share_1 == found.joint_share_8 == found.joint_share_64 == 1
    assert found.keep
    assert found.monotone
    assert found.finite


@pytest.mark.parametrize(
    ("text", "falls", "rises"),
    [
        ("-pos", 1, 1),
        ("neg", 1, 1),
        ("-gap", 0, 0),
        ("pos + neg", 0, 1),
        ("mean(relu(gap)) - 3 * logmeanexp(neg)", 1, 0),
    ],
)
def test_losses_that_do_not_rank_are_not_kept(text: str, falls: float, rises: float) -> None:
    found = check(text)
    assert (found.falls_with_positive, found.rises_with_negatives) == (falls, rises)
    assert not found.keep
    assert not found.monotone


def test_a_loss_that_is_wrong_for_several_negatives_alone() -> None:
    found = check("(neg - mean(neg))**2 - pos")
    assert (found.joint_share_1, found.joint_share_8, found.joint_share_64) == (1, 0, 0)
    assert found.right_share == pytest.approx(2 / 3)


def test_a_steep_row_hides_no_wrong_signs_of_others() -> None:
    # It rises with negatives where the exponential is steeper than 1 / 200, and not yet clamped at 1e5.
    loss, generator = RankingFormulaLoss("exp(gap_t) - gap / 200", temperature=0.01), torch.Generator().manual_seed(0)
    found = check_scores(loss, generator=generator, points=6000)
    steep = (100 * (2 * torch.rand(2, 200_000, generator=generator) - 1).diff(dim=0)).exp()
    right = float(((100 * steep > 1 / 200) & (steep < 1e5)).double().mean())
    assert found.joint_share_1 == pytest.approx(right, abs=0.02)
    assert found.rises_with_negatives < 0.15


def test_few_rows_and_lists_longer_than_any_catalogue() -> None:
    loss = SLatK(k=3000, samples=3000)
    assert check_scores(loss, generator=torch.Generator().manual_seed(0), points=1, threshold=3).keep


def test_rows_are_of_different_users() -> None:
    assert check(BSL(pool_positives=True)).ignores_shift


def test_the_share_of_the_hardest_negative_shows_what_a_loss_looks_at() -> None:
    assert check("mean(gap)").hardest_share == pytest.approx(1 / 8)
    assert check("hard(gap)").hardest_share > 0.5
    assert check(SampledSoftmax(1.0)).hardest_share < check(SampledSoftmax(0.1)).hardest_share


def test_the_largest_derivative_is_by_any_score() -> None:
    assert check("3 * neg - 2 * pos").max_gradient == pytest.approx(3)
    assert check("mean(3 * neg) - 5 * pos").max_gradient == pytest.approx(5)


def test_only_differences_of_scores_matter_for_some() -> None:
    assert check("softplus(gap_t)").ignores_shift
    assert not check("softplus(neg_t) - pos").ignores_shift


def test_the_clamp_keeps_what_overflows_finite() -> None:
    assert check("exp(exp(gap_t))").finite


def test_quantiles_are_those_of_an_untrained_user() -> None:
    assert check(SLatK()).falls_with_positive > 0.9


def test_formulas_of_both_kinds_stand_in_one_table(tmp_path: str, capsys: pytest.CaptureFixture[str]) -> None:
    settings = CheckSettings(formulas=["softplus(gap_t)", "(label - pred)**2"], losses=[MSE()], root=str(tmp_path))
    table = run_check(settings, seed=0)
    again = pd.read_csv(f"{tmp_path}/check.csv")
    assert table["formula"].tolist() == again["formula"].tolist() == ["softplus(gap_t)", "(label - pred)**2", "MSE"]
    assert table["keep"].tolist() == [True, True, True]
    assert table["proper"].isna().tolist() == [True, False, False]
    shown = capsys.readouterr().out
    assert "falls" in shown
    assert "proper" in shown
