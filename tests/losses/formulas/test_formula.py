import copy
import pickle
import time

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from lightning_modules.losses import PRESETS, Constant, Formula, FormulaError, Operation, Variable
from tests.losses.formulas.formula_strategies import any_number, formulas
from tests.losses.formulas.numpy_formula import numpy_duals

PRED, LABEL, ONE = Variable("pred"), Variable("label"), Constant(1.0)


def doubling(times: int) -> Formula:
    """pred, doubled again and again: a tree of 2**times leaves on times + 1 nodes."""
    return Formula((PRED, *(Operation("add", (position, position)) for position in range(times))))


def test_unused_nodes_are_dropped_and_the_rest_is_in_post_order():
    formula = Formula((ONE, LABEL, PRED, Operation("log", (1,)), Operation("log", (2,)), Operation("add", (4, 1))))
    assert formula.nodes == (PRED, Operation("log", (0,)), LABEL, Operation("add", (1, 2)))


def test_equal_parts_become_one_node():
    twice = Formula((PRED, Operation("log", (0,)), PRED, Operation("log", (2,)), Operation("max", (1, 3))))
    assert twice == Formula((PRED, Operation("log", (0,)), Operation("max", (1, 1))))


def test_operand_order_and_identity_tell_formulas_apart():
    texts = [
        "pred - label",
        "label - pred",
        "max(pred, label)",
        "max(label, pred)",
        "identity(pred)",
        "pred",
        "1 * pred",
    ]
    assert len({Formula.parse(text) for text in texts}) == len(texts)


@given(formulas(), st.data())
def test_any_order_of_nodes_gives_the_same_formula(formula, data):
    constants = [node for node in formula.nodes if isinstance(node, Constant)]
    nodes, places = data.draw(st.permutations([PRED, LABEL, *constants])), {}
    for position, node in enumerate(formula.nodes):
        if isinstance(node, Operation):
            node = Operation(node.operator, tuple(places[operand] for operand in node.operands))
            nodes.extend([node] * data.draw(st.integers(0, 1)))
        nodes.append(node)
        places[position] = len(nodes) - 1
    again = Formula(tuple(nodes))
    assert again == formula
    assert hash(again) == hash(formula)


@pytest.mark.parametrize(
    ("nodes", "reason"),
    [
        (lambda: (), "at least one node"),
        (lambda: (Operation("log", (0,)), PRED), "earlier"),
        (lambda: (PRED, Operation("log", (1,))), "earlier"),
        (lambda: (PRED, Operation("log", (-1,))), "earlier"),
        (lambda: (PRED, Operation("max", (0,))), "takes 2 operands, got 1"),
        (lambda: (PRED, Operation("logg", (0,))), "unknown name 'logg'.*did you mean log"),
        (lambda: (Variable("prediction"),), "unknown name 'prediction'.*pred"),
        (lambda: (Constant(-1.0),), "constant -1.0"),
        (lambda: (Constant(float("nan")),), "constant nan"),
        (lambda: doubling(65).nodes, "more than 64 operators"),
    ],
)
def test_invalid_programs_are_refused(nodes, reason):
    with pytest.raises(FormulaError, match=reason):
        Formula(tuple(nodes()))


def test_a_formula_cannot_be_changed():
    formula = Formula.parse("pred - label")
    with pytest.raises(AttributeError):
        formula.nodes = ()
    with pytest.raises(AttributeError):
        formula.nodes[0].name = "label"


@given(formulas(numbers=any_number))
def test_copies_and_pickles_are_equal(formula):
    for copied in (copy.copy(formula), copy.deepcopy(formula), pickle.loads(pickle.dumps(formula))):
        assert copied == formula
        assert hash(copied) == hash(formula)


def test_properties():
    formula = Formula.parse("log(pred) * log(pred)")
    assert (formula.variables, formula.depth, formula.size) == ({"pred"}, 2, 5)
    assert repr(formula) == "Formula.parse('log(pred) * log(pred)')"


def test_shared_parts_cost_nothing():
    start = time.perf_counter()
    large, again = doubling(64), doubling(64)
    assert large == again
    assert hash(large) == hash(again)
    assert large.size == 2**65 - 1
    assert repr(large).startswith("Formula(nodes=(Variable")
    assert large.evaluate(torch.tensor([1e-30]), torch.zeros(1), PRESETS["protected"]).item() == pytest.approx(
        2**64 * 1e-30
    )
    assert large.simplify() == Formula((Constant(2.0**64), PRED, Operation("multiply", (0, 1))))
    assert time.perf_counter() - start < 1
    with pytest.raises(FormulaError, match="longer than 200000 characters"):
        str(large)


@pytest.mark.parametrize("preset", PRESETS)
@given(formulas(), st.integers(0, 1000))
@example(Formula.parse("log(pred - pred) + sqrt(pred - pred) + 1 / (pred - pred)"), 0)
@example(Formula.parse("max(pred, identity(pred)) * min(label, pred)"), 0)
@example(Formula.parse("exp(100 * pred) + relu(pred - 1) + abs(pred - label)"), 0)
def test_value_and_slope_agree_with_numpy(preset, formula, seed):
    numerics = PRESETS[preset]
    rng = np.random.default_rng(seed)
    pred, label = rng.uniform(0, 1, 8), rng.integers(0, 2, 8).astype(float)
    expected = numpy_duals(formula, pred, label, numerics)[-1]
    points = torch.from_numpy(pred).requires_grad_()
    value = formula.evaluate(points, torch.from_numpy(label), numerics)
    assert value.dtype == torch.float64
    np.testing.assert_allclose(value.detach().numpy(), expected.value, rtol=1e-6, atol=1e-9)
    # A formula without pred has no derivative at all.
    slope = torch.autograd.grad(value.sum() + 0 * points.sum(), points)[0]
    np.testing.assert_allclose(slope.numpy(), expected.slope, rtol=1e-5, atol=1e-8 * max(1, abs(expected.slope).max()))


def test_every_node_is_clamped_but_not_the_leaves():
    evaluate = lambda text: Formula.parse(text).evaluate(  # noqa: E731
        torch.zeros(1), torch.ones(1), PRESETS["autolossgen"]
    )
    assert evaluate("pred").item() == 0
    assert evaluate("-label").item() == pytest.approx(1e-5)
    assert evaluate("-label + label").item() == pytest.approx(1 + 1e-5)
    assert evaluate("1e9").item() == 1e9
    assert evaluate("identity(1e9)").item() == 1e5
