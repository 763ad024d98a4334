import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from lightning_modules.losses import Constant, Formula, Numerics, Operation, Variable
from tests.losses.formulas.formula_strategies import (
    any_number,
    formulas,
    reworded,
    simple_number,
    with_swapped_operands,
)
from tests.losses.formulas.numpy_formula import numpy_values

EXACT = Numerics(eps=0.0, low=-np.inf, high=np.inf)
NEAR_POLE = ("log", "reciprocal", "sqrt")


@pytest.mark.parametrize(
    "equal",
    [
        ["max(pred, label)", "max(label, pred)", "-min(-pred, -label)", "max(max(pred, label), identity(pred))"],
        ["min(pred, label)", "-max(-label, -pred)"],
        ["(label - pred)**2", "(pred - label)**2", "(pred - label) * (pred - label)", "abs(label - pred)**2"],
        ["abs(label - pred)", "abs(pred - label)", "abs(abs(pred - label))"],
        ["pred", "identity(pred)", "-(-pred)", "1 * pred", "0 + pred", "pred + label - label", "1 / (1 / pred)"],
        ["pred + label + 1", "1 + (label + pred)", "label - -(pred + 1)"],
        ["-pred * label", "label * -pred", "-(pred * label)", "0 - label * pred"],
        ["pred / label", "pred * (1 / label)", "1 / (label / pred)", "-pred / -label"],
        ["1 / pred", "1 * (1 / pred)", "1 / identity(pred)"],
        ["0", "pred - pred", "0 * log(pred)", "label * pred - pred * label", "log(1)"],
        ["2 * pred", "pred + pred", "4 * pred / 2", "3 * pred - pred"],
        ["abs(pred) / 3", "abs(pred / -3)"],
        ["relu(pred)", "relu(relu(pred))", "abs(relu(pred))"],
        ["pred**2 * label**2", "(pred * label)**2", "pred * label * pred * label", "abs(pred**2 * label**2)"],
        ["label * log(1 / pred)", "-label * log(pred)", "log(pred) * (0 - label)", "log(-pred) * label"],
        ["log(label / pred)", "-log(pred / label)"],
        ["2 * (pred + label) * exp(pred)", "(label + pred) * 2 * exp(pred)", "(2 * pred + 2 * label) * exp(pred)"],
        ["max(pred, 2)", "max(2, max(pred, 1))"],
        ["pred**2", "pred * pred", "pred * pred * pred / pred"],
    ],
)
def test_equal_formulas_become_one(equal):
    assert len({str(Formula.parse(text).simplify()) for text in equal}) == 1


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("log(1 / pred) * label", "-(label * log(pred))"),
        ("max(label / pred, pred / label)", "max(pred / label, label / pred)"),
        ("pred / pred", "pred / pred"),
        ("0.1 + 0.2", "0.1 + 0.2"),
        ("pred / 3", "pred * (1 / 3)"),
        ("log(3 / pred)", "log(3 / pred)"),
        ("relu(pred) + relu(-pred)", "relu(pred) + relu(-pred)"),
        ("1e300 * 1e300", "1e+300**2"),
    ],
)
def test_forms(text, form):
    assert Formula.parse(text).simplify() == Formula.parse(form)


def test_a_formula_whose_canonical_form_would_be_too_deep_stays_as_it_is():
    """A balanced sum of 70 logarithms has depth 9; from left to right it would have 71, and 64 are allowed."""
    sums = [f"log(pred + {number})" for number in range(1, 71)]
    while len(sums) > 1:
        pairs = [sums[start : start + 2] for start in range(0, len(sums), 2)]
        sums = [f"({' + '.join(pair)})" for pair in pairs]
    formula = Formula.parse(f"{sums[0]} + 0 * label")
    assert formula.simplify() == formula


@settings(max_examples=300)
@given(formulas(numbers=simple_number | any_number))
@example(Formula.parse("abs(1 / (1 + abs(label)))"))
def test_simplifying_twice_changes_nothing(formula):
    once = formula.simplify()
    assert once.simplify() == once


@given(st.data())
def test_operand_order_does_not_matter(data):
    formula = data.draw(formulas())
    swapped = data.draw(with_swapped_operands(formula))
    assert swapped.simplify() == formula.simplify()


@given(st.data())
def test_other_words_for_the_same_do_not_matter(data):
    formula = data.draw(formulas(max_operations=6))
    assert data.draw(reworded(formula)).simplify() == formula.simplify()


@settings(max_examples=300)
@given(formulas(), st.integers(0, 1000))
def test_the_value_stays(formula, seed):
    rng = np.random.default_rng(seed)
    pred, label = rng.normal(size=(2, 20))
    values = numpy_values(formula, pred, label, EXACT)
    well_conditioned = np.all([np.abs(value) < 1e4 for value in values], axis=0)
    for node in formula.nodes:
        if isinstance(node, Operation) and node.operator in NEAR_POLE:
            well_conditioned &= np.abs(values[node.operands[0]]) > 1e-3
    assume(well_conditioned.any())
    form = numpy_values(formula.simplify(), pred, label, EXACT)[-1]
    np.testing.assert_allclose(form[well_conditioned], values[-1][well_conditioned], rtol=1e-6, atol=1e-6)


@given(formulas(operators=["add", "multiply", "max", "min", "negative", "square"], max_operations=40))
def test_a_simplified_formula_stays_small(formula):
    assert len(formula.simplify().nodes) <= 5 * len(formula.nodes)


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("(label - pred)**2 + 3", "(label - pred)**2"),
        ("label - 2 * pred + log(label + 1)", "-(2 * pred)"),
        ("(pred + label) * (pred + 1) - label", "(pred + label) * (pred + 1)"),
        ("max(label, 1) + pred * label", "pred * label"),
        ("label + 1", "label + 1"),
        ("pred - pred + label", "label"),
    ],
)
def test_terms_without_gradient_go(text: str, form: str) -> None:
    formula = Formula.parse(text)
    assert formula.without_offset() == Formula.parse(form).simplify()
    assert len(formula.shortest()) <= min(len(text), len(str(formula.simplify())))


@given(formulas(max_operations=5, numbers=st.sampled_from([0.5, 1.0, 2.0])), st.sampled_from([0.5, 1.0, 2.0, 8.0]))
def test_terms_that_are_added_leave_no_trace(formula: Formula, number: float) -> None:
    assume("pred" in formula.simplify().variables)
    last = len(formula.nodes)
    offset = (Variable("label"), Constant(number), Operation("multiply", (last, last + 1)))
    shifted = Formula((*formula.nodes, *offset, Operation("add", (last - 1, last + 2))))
    assert shifted.without_offset() == formula.without_offset()
