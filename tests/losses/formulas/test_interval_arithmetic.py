import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from lightning_modules.losses import OPERATOR_BY_NAME, OPERATORS, PRESETS, Formula, Numerics, Operation, Operator
from lightning_modules.losses.formulas.interval_arithmetic import intervals, needed_clamps
from lightning_modules.losses.formulas.operators import EVERY_OPERATOR, NegativeScores
from tests.losses.formulas.formula_strategies import ALL_OPERATORS, formulas, ranking_formulas

numerics = st.sampled_from(
    [*PRESETS.values(), Numerics(low=-2.0, high=3.0), Numerics(eps=0.0), Numerics(high=float("inf")), Numerics(1e-40)]
)
precisions = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])


def samples(dtype):
    pred = torch.cat([torch.linspace(0, 1, 41), torch.tensor([1e-30, 1e-7, 1e-5, 1 - 1e-7])]).to(dtype)
    return pred.repeat(3), torch.tensor([0.0, 0.5, 1.0], dtype=dtype).repeat_interleave(len(pred))


def values_before_clamps(formula, numerics, dtype):
    pred, label = samples(dtype)
    before, clamped = [], []
    for node in formula.nodes:
        if isinstance(node, Operation):
            operands = [clamped[operand] for operand in node.operands]
            before.append(OPERATOR_BY_NAME[node.operator](*operands, eps=numerics.eps))
            clamped.append(numerics.clamp(before[-1]))
        else:
            before.append(Formula((node,)).evaluate(pred, label, numerics))
            clamped.append(before[-1])
    return before, clamped


@settings(max_examples=150)
@precisions
@given(formula=formulas(), numerics=numerics)
def test_bounds_hold_what_the_nodes_are_and_a_clamp_left_out_does_nothing(dtype, formula, numerics):
    before, clamped = values_before_clamps(formula, numerics, dtype)
    needed = needed_clamps(formula.nodes, numerics)
    for position, bound in enumerate(intervals(formula.nodes, numerics, dtype)):
        if bound is not None:
            assert bound.low <= before[position].min().item()
            assert before[position].max().item() <= bound.high
        if not needed[position]:
            torch.testing.assert_close(clamped[position], before[position], rtol=0, atol=0)


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda operator: operator.name)
@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_operators_are_monotone_on_either_side_of_0(operator: Operator, side: float) -> None:
    operand = side * torch.logspace(-8, 5, 400, dtype=torch.double)
    for others in ([other] for other in (-3.0, -0.5, 0.0, 0.5, 3.0)) if operator.arity == 2 else ([],):
        values = operator(operand, *(torch.full_like(operand, other) for other in others), eps=1e-6)
        steps = values.diff()
        assert (steps >= 0).all() or (steps <= 0).all()


@precisions
@pytest.mark.parametrize("operator", ALL_OPERATORS)
def test_every_operator_has_bounds(operator, dtype):
    formula = Formula.parse(f"{operator}({', '.join(['pred', 'label'][: OPERATOR_BY_NAME[operator].arity])})")
    assert intervals(formula.nodes, PRESETS["protected"], dtype)[-1] is not None


@pytest.mark.parametrize(
    ("text", "needed"),
    [
        ("-label * log(pred)", False),
        ("square(label - pred)", False),
        ("1 / (1 + pred)", False),
        ("1 / pred", True),
        ("exp(exp(1 + pred))", False),
        ("exp(exp(2 + pred))", True),
        ("pred * 99999", False),
        ("pred * 100001", True),
    ],
)
def test_only_clamps_that_can_bind_are_needed(text, needed):
    assert any(needed_clamps(Formula.parse(text).nodes, Numerics())) is needed


def test_a_clamp_at_the_lower_end_is_not_repeated():
    formula = Formula.parse("max(identity(pred * label), abs(pred * label))")
    clamped = [
        formula.nodes[position]
        for position, clamp in enumerate(needed_clamps(formula.nodes, PRESETS["autolossgen"]))
        if clamp
    ]
    assert [node.operator for node in clamped] == ["multiply"]


def test_what_may_be_nan_has_no_bounds():
    formula = Formula.parse("min(1 / pred, 1)")
    assert intervals(formula.nodes, Numerics(eps=0.0), torch.float32)[-1] is None
    assert needed_clamps(formula.nodes, Numerics(eps=0.0))[-1]


SCORES = {"cosines": 1.0, "products": 50.0, "large": 1e6, "the largest": 1e30}


def with_every_clamp(formula, leaves, like, numerics, negatives):
    values = []
    for node in formula.nodes:
        if isinstance(node, Operation):
            operands = [values[operand] for operand in node.operands]
            value = EVERY_OPERATOR[node.operator](*operands, eps=numerics.eps, negatives=negatives)
            values.append(numerics.clamp(value))
        else:
            values.append(Formula((node,)).compute(leaves, like, numerics))
    return values[-1]


@settings(max_examples=150)
@pytest.mark.parametrize("scale", SCORES.values(), ids=SCORES.keys())
@given(formula=ranking_formulas(variables=("pos", "neg", "gap_t")), numerics=numerics, weighted=st.booleans())
def test_formulas_of_scores_have_the_value_and_gradient_of_every_clamp(formula, numerics, weighted, scale):
    generator = torch.Generator().manual_seed(0)
    positive, negative = (scale * (2 * torch.rand(5, n, generator=generator) - 1) for n in (1, 7))
    scores = positive.requires_grad_(), negative.requires_grad_()
    log_weight = torch.randn(7, generator=generator).log_softmax(0) + torch.tensor(7.0).log() if weighted else None
    leaves = {"pos": positive, "neg": negative, "gap_t": (negative - positive) / 0.1}
    arguments = leaves, positive, numerics, NegativeScores(negative / 0.1, log_weight)
    found, expected = formula.compute(*arguments), with_every_clamp(formula, *arguments)
    torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)
    if formula.has_gradient:
        slopes = [
            torch.autograd.grad(each.sum(), scores, retain_graph=True, allow_unused=True) for each in (found, expected)
        ]
        for slope, of_every in zip(*slopes, strict=True):
            torch.testing.assert_close(slope, of_every, equal_nan=True)
