"""Formulas are compared by their shape: all have a gradient as large as the baseline's."""

from pathlib import Path

import pytest
import torch

from lightning_modules.losses import (
    BCE,
    MSE,
    Focal,
    Formula,
    FormulaLoss,
    Hinge,
    Loss,
    Numerics,
    RankingFormulaLoss,
    SampledSoftmax,
    ScaledLoss,
)
from lightning_modules.search.gradient_scale import GradientScale, mean_gradient, unscaled
from lightning_modules.search.ledger import read_ledger
from lightning_modules.search.space import SearchSpace
from tests.search.small_studies import search, without_figures

SCALE = GradientScale(BCE())


def gradients(loss: Loss) -> torch.Tensor:
    """Return derivatives by differences, far from kinks or not."""
    prediction = torch.linspace(0.1, 0.9, 20, dtype=torch.float64)
    places = [(torch.logit(prediction + step), float(label)) for label in (0, 1) for step in (-1e-6, 1e-6)]
    both = [loss.from_logit(logit, torch.full_like(logit, label)) for logit, label in places]
    return torch.cat([(both[1] - both[0]) / 2e-6, (both[3] - both[2]) / 2e-6])


def test_the_mean_gradient_is_that_of_differences() -> None:
    for loss in (BCE(), MSE(), FormulaLoss("(label - pred)**2 / pred")):
        assert mean_gradient(loss) == pytest.approx(float(gradients(loss).abs().mean()), rel=1e-6)


def test_losses_of_logits_are_derived_by_the_probability_too() -> None:
    prediction = torch.linspace(0.1, 0.9, 20)
    assert mean_gradient(BCE()) == pytest.approx(float((1 / prediction).mean()), rel=1e-6)
    assert mean_gradient(MSE()) == pytest.approx(1.0, rel=1e-6)
    written_out = FormulaLoss("-label * log(pred) - (1 - label) * log(1 - pred)")
    assert mean_gradient(written_out) == pytest.approx(mean_gradient(BCE()), rel=1e-4)


def test_random_formulas_keep_their_shape_and_get_the_baselines_size() -> None:
    space, scaled = SearchSpace(), 0
    programs = space.uniform(60, torch.Generator().manual_seed(3))
    for formula, size in zip(space.decode(programs), programs.sizes(len(space.leaves)).tolist(), strict=True):
        loss = FormulaLoss(formula)
        result = SCALE.scaled(loss)
        if result is loss:
            continue
        scaled += 1
        assert mean_gradient(result) == pytest.approx(mean_gradient(BCE()), rel=0.01)
        shapes = torch.stack([gradients(loss), gradients(result)])
        assert float(torch.cosine_similarity(*shapes, dim=0)) == pytest.approx(1.0, abs=1e-6)
        assert SCALE.scaled(result) is not None
        assert Formula.parse(str(result.formula)) == result.formula
        assert result.formula.num_operators == formula.num_operators
        # The strategy has paid for the program without the factor.
        assert unscaled(Formula.parse(str(result.formula))).num_applied == size
    assert scaled > 10


def test_hand_made_losses_are_scaled_too_and_keep_what_they_want() -> None:
    logit, label = torch.linspace(-3, 3, 8, dtype=torch.float64), torch.arange(8).remainder(2).double()
    for loss in (MSE(), Focal(), Hinge()):
        scaled = SCALE.scaled_reference(loss)
        assert isinstance(scaled, ScaledLoss)
        assert scaled.wants == loss.wants
        assert mean_gradient(scaled) == pytest.approx(mean_gradient(BCE()), rel=0.01)
        factor = mean_gradient(scaled) / mean_gradient(loss)
        torch.testing.assert_close(scaled.from_logit(logit, label), factor * loss.from_logit(logit, label))


def test_the_baseline_and_losses_of_scores_stay_as_they_are() -> None:
    baseline, of_scores = BCE(), SampledSoftmax(0.2)
    assert SCALE.scaled_reference(baseline) is baseline
    assert GradientScale(of_scores).scaled_reference(of_scores) is of_scores


def test_the_factor_has_three_figures_and_is_none_where_it_is_1() -> None:
    half = GradientScale(MSE()).scaled(FormulaLoss("0.3 * (label - pred)**2"))
    assert str(half.formula) == "3.33 * (0.3 * (label - pred)**2)"
    own = FormulaLoss("(label - pred)**2")
    assert GradientScale(MSE()).scaled(own).formula == own.formula


@pytest.mark.parametrize(
    "loss",
    [
        FormulaLoss("label"),
        FormulaLoss("log(pred - pred)"),
        # The product would be clamped.
        FormulaLoss("(label - pred)**2", Numerics(eps=1e-6, low=0.99, high=1.5)),
    ],
)
def test_what_no_factor_makes_comparable_stays_as_it_is(loss: FormulaLoss) -> None:
    assert SCALE.scaled(loss) is loss


def test_a_baseline_without_a_gradient_is_refused() -> None:
    with pytest.raises(ValueError, match="baseline with a gradient"):
        GradientScale(FormulaLoss("label + 0 * pred"))


def test_a_search_trains_and_records_the_scaled_formula(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_figures(monkeypatch)
    search(tmp_path, strategy="random", rounds=1, references=[], normalize_scale=True)
    formulas = read_ledger(tmp_path)["formula"].tolist()
    assert [mean_gradient(FormulaLoss(text)) for text in formulas] == pytest.approx([SCALE.size] * 3, rel=0.01)


def test_a_search_does_not_train_what_trains_as_the_baseline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_figures(monkeypatch)
    cases = {"scaled": {"normalize_scale": True}, "not scaled": {"normalize_scale": False}}
    # The reward of what trains as the baseline is not known where rewards are no differences to it.
    cases["absolute"] = {"normalize_scale": True, "relative": False}
    for name, options in cases.items():
        search(
            tmp_path / name,
            strategy="random",
            rounds=1,
            references=[],
            seeds=["(label - pred)**2"],
            baseline=MSE(),
            **options,
        )
    error = Formula.parse("(label - pred)**2").simplify()
    trained = [read_ledger(tmp_path / name)["simplified"].map(Formula.parse) for name in cases]
    assert [any(unscaled(formula) == error for formula in formulas) for formulas in trained] == [False, True, True]


def test_formulas_of_scores_are_scaled_too() -> None:
    scale = GradientScale(SampledSoftmax(0.2))
    loss = scale.scaled(RankingFormulaLoss("softplus(gap_t)", temperature=0.2))
    assert loss.temperature == 0.2
    assert mean_gradient(loss) == pytest.approx(mean_gradient(SampledSoftmax(0.2)), rel=0.01)
    assert mean_gradient(scale.scaled(loss)) == pytest.approx(mean_gradient(loss), rel=0.01)
