"""Formulas of scores: the known losses are among them, with equal values and gradients."""

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.mathtext import MathTextParser
from torch import nn

from lightning_modules import losses
from lightning_modules.losses import (
    PRESETS,
    RANKING,
    Formula,
    FormulaError,
    FormulaLoss,
    ListwiseLoss,
    MisfitError,
    Numerics,
    RankingFormulaLoss,
    ScoredBatch,
    Talos,
    loss_of_formula,
)
from lightning_modules.losses.quantile_loss import QuantileLoss
from tests.losses.formulas.formula_strategies import ranking_formulas, tree
from tests.losses.listwise_cases import NUM_ITEMS, NUM_USERS, TRAINING, prepared, scored

EXACT = Numerics(eps=0.0, low=-np.inf, high=np.inf)
#: The logarithm of the number of negatives, by which a sum differs from a mean.
COUNT = "log(sum(1))"
KNOWN: list[tuple[ListwiseLoss, str, float]] = [
    (losses.SampledBPR(), "mean(softplus(gap))", 1.0),
    (losses.SampledBPR(0.2), "softplus(gap_t)", 0.2),
    (losses.SampledBCE(0.2), "softplus(-pos_t) + sum(softplus(neg_t))", 0.2),
    (losses.SampledBCE(0.2, average=True), "softplus(-pos_t) + softplus(neg_t)", 0.2),
    (losses.SampledSoftmax(0.1), f"logmeanexp(gap_t) + {COUNT}", 0.1),
    (losses.SampledSoftmax(0.1), "log(sum(exp(gap_t)))", 0.1),
    (losses.SampledSoftmax(0.2, positive_in_sum=True), "log(1 + sum(exp(gap_t)))", 0.2),
    (losses.PSL("relu", 0.1), f"logmeanexp(log(max(1 + 0.5 * gap, 1e-6)) / 0.1) + {COUNT}", 0.1),
    (losses.PSL("tanh", 0.1), f"logmeanexp(log(1 + tanh(0.5 * gap)) / 0.1) + {COUNT}", 0.1),
    (losses.BSL(0.1, 0.2), f"(logmeanexp(neg_t) + {COUNT}) / 2 - pos / 0.2", 0.1),
    (losses.BSL(0.1, 0.1, negative_weight=1.2), f"1.2 * (logmeanexp(neg_t) + {COUNT}) - pos_t", 0.1),
    (losses.CCL(margin=-0.2, weight=5.0), "1 - pos + 5 * mean(relu(neg + 0.2))", 0.1),
    (losses.SampledWARP(margin=0.5, temperature=0.2), "log(1 + sum(relu(0.5 + gap_t)))", 0.2),
    (losses.SLatK(k=5), f"sigmoid((pos - beta) / 2) * (logmeanexp(gap_t) + {COUNT})", 0.1),
    (
        losses.SLatK(k=5, detach_weight=True),
        f"detach(sigmoid((pos - beta) / 2)) * (logmeanexp(gap_t) + {COUNT})",
        0.1,
    ),
    (
        Talos(k=5, temperature=0.2),
        f"logmeanexp(-(softplus(beta - neg) / 0.2)) + {COUNT} + softplus(beta - pos) / 0.2",
        0.2,
    ),
]


def graded(loss: ListwiseLoss, batch: ScoredBatch) -> list[torch.Tensor]:
    """Return the loss of every row, and its gradient by the scores of positives and negatives."""
    batch = batch._replace(
        positive=batch.positive.clone().requires_grad_(), negative=batch.negative.clone().requires_grad_()
    )
    value = loss.of_batch(batch)
    return [value.detach(), *torch.autograd.grad(value.sum(), (batch.positive, batch.negative), materialize_grads=True)]


@pytest.mark.parametrize(("loss", "text", "temperature"), KNOWN, ids=range(len(KNOWN)))
@pytest.mark.parametrize("log_q", ["none", "shared", "each"])
def test_known_losses_as_formulas(loss: ListwiseLoss, text: str, temperature: float, log_q: str) -> None:
    batch, known = scored(8, 6, log_q=log_q), prepared(loss)
    formula = prepared(RankingFormulaLoss(text, EXACT, temperature, k=5))
    if isinstance(known, QuantileLoss):
        # Talos learns its quantiles, and a formula renews them.
        formula.quantile = known.quantile = torch.linspace(-0.5, 0.5, NUM_USERS)
    for found, expected in zip(graded(formula, batch), graded(known, batch), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_hard_weighs_by_the_scores_of_the_negatives_and_trains_through_none_of_the_weights() -> None:
    batch = scored(8, 6)
    value, by_positive, by_negative = graded(RankingFormulaLoss("hard(gap)", EXACT, 0.2), batch)
    weight = (batch.negative / 0.2).softmax(dim=1)
    torch.testing.assert_close(value, (weight * (batch.negative - batch.positive[:, None])).sum(dim=1))
    torch.testing.assert_close(by_positive, -torch.ones_like(by_positive))
    torch.testing.assert_close(by_negative, weight)


@pytest.mark.parametrize("log_q", ["none", "each"])
def test_what_is_the_same_for_all_negatives_is_its_own_mean(log_q: str) -> None:
    batch = scored(log_q=log_q)
    for text, expected in (
        ("mean(pos)", batch.positive),
        ("logmeanexp(pos)", batch.positive),
        ("hard(pos)", batch.positive),
        ("sum(pos)", 4 * batch.positive),
    ):
        torch.testing.assert_close(RankingFormulaLoss(text, EXACT).of_batch(batch), expected)


def test_the_popularity_of_the_item_is_counted_in_training() -> None:
    loss = RankingFormulaLoss("gap / (1 + log_popularity)", EXACT)
    loss.prepare(*TRAINING, NUM_USERS, NUM_ITEMS)
    batch = scored()._replace(item=torch.tensor([3, 7, 0, 1, 3]))
    popularity = torch.tensor([2, 1, 1, 1, 2]).double().log()
    expected = (batch.negative - batch.positive[:, None]).mean(dim=1) / (1 + popularity)
    torch.testing.assert_close(loss.of_batch(batch), expected)


@pytest.mark.parametrize("variable", ["beta", "log_popularity"])
def test_what_scores_do_not_tell_needs_a_batch(variable: str) -> None:
    loss = RankingFormulaLoss(f"gap + {variable}")
    with pytest.raises(MisfitError, match=f"needs {variable}, which a batch has"):
        loss(scored().positive, scored().negative)


@pytest.mark.parametrize("preset", PRESETS)
@given(ranking_formulas(variables=("pos", "neg", "gap_t"), max_operations=8))
def test_values_and_gradients_are_finite(preset: str, formula: Formula) -> None:
    ends = torch.cartesian_prod(torch.tensor([-1.0, 0.0, 1.0]), torch.tensor([-1.0, 0.0, 1.0]))
    positive, negative = ends[:, 0].clone().requires_grad_(), ends[:, 1:].repeat(1, 3).requires_grad_()
    value = RankingFormulaLoss(formula, preset)(positive, negative)
    assert value.shape == (9,)
    value.mean().backward()
    assert value.isfinite().all()
    assert all(each.grad is None or bool(each.grad.isfinite().all()) for each in (positive, negative))


@given(ranking_formulas(max_operations=6))
def test_a_temperature_that_is_not_tunable_changes_no_value(formula: Formula) -> None:
    hot, cold = (RankingFormulaLoss(formula, temperature=temperature) for temperature in (0.1, 0.7))
    batch = scored(log_q="each")
    if "temperature" not in hot.tunable:
        assert torch.equal(*(prepared(loss).of_batch(batch) for loss in (hot, cold)))


@pytest.mark.parametrize(
    ("text", "tunable"), [("softplus(gap)", False), ("softplus(gap_t)", True), ("hard(gap)", True), ("-pos_t", True)]
)
def test_the_temperature_is_tunable_where_the_formula_has_one(text: str, tunable: bool) -> None:
    assert ("temperature" in RankingFormulaLoss(text).tunable) == tunable


@given(ranking_formulas())
def test_text_reads_back_as_the_same_formula(formula: Formula) -> None:
    assert Formula.parse(str(formula)) == formula
    assert Formula.parse(tree(formula)) == formula
    simple = formula.simplify()
    assert Formula.parse(str(simple)) == simple
    assert simple.simplify() == simple


@given(ranking_formulas(variables=("pos", "neg", "gap_t"), max_operations=5), st.sampled_from(["pos", "gap_t"]))
def test_terms_without_gradient_leave_no_trace(formula: Formula, detached: str) -> None:
    shifted = Formula.parse(f"{tree(formula)} + detach({detached}) * beta")
    if formula.simplify().has_gradient:
        assert shifted.without_offset() == formula.without_offset()


@given(ranking_formulas(max_operations=6))
def test_latex_is_readable_by_matplotlib(formula: Formula) -> None:
    MathTextParser("path").parse(f"${formula.latex()}$")


@given(ranking_formulas())
def test_a_copy_in_another_process_is_the_same(formula: Formula) -> None:
    loss = RankingFormulaLoss(formula, "autolossgen", 0.3)
    again = pickle.loads(pickle.dumps(loss))
    assert again.formula == formula
    assert (again.identity, again.spec()) == (loss.identity, loss.spec())
    assert pickle.loads(pickle.dumps(RANKING)) is RANKING


@pytest.mark.parametrize("text", ["pred - neg", "pred + softplus(1)", "softplus(label)"])
def test_formulas_of_no_one_kind_of_loss(text: str) -> None:
    with pytest.raises(FormulaError, match="unknown name"):
        Formula.parse(text)


def test_a_formula_of_another_kind_of_loss() -> None:
    with pytest.raises(FormulaError, match=r"'softplus\(gap_t\)' is a formula of the ranking dialect, and FormulaLoss"):
        FormulaLoss("softplus(gap_t)")
    with pytest.raises(FormulaError, match="RankingFormulaLoss computes formulas of pos, neg, gap"):
        RankingFormulaLoss("label - pred")
    assert type(loss_of_formula("softplus(gap_t)")) is RankingFormulaLoss
    assert type(loss_of_formula("label - pred")) is FormulaLoss


@pytest.mark.parametrize("text", ["beta + 1", "detach(gap)", "pos - pos + 1"])
def test_nothing_is_trained_without_a_gradient(text: str) -> None:
    class Model(nn.Module):
        gives = "scores"
        loss = None

    loss = RankingFormulaLoss(text)
    with pytest.raises(MisfitError, match="has no score with a gradient in it: write pos, neg or gap"):
        loss.check_model(Model())
