from collections import Counter

import pytest
import torch
from scipy.stats import chisquare

from lightning_modules.losses import OPERATORS, PRESETS, Formula
from lightning_modules.search.program_gradients import evaluate
from lightning_modules.search.screening import Screening, ScreeningResult
from lightning_modules.search.space import SearchSpace
from tests.search.search_helpers import assert_valid, equal, full_space, seeded, written

LEAST_P_VALUE = 1e-3


def test_the_default_is_the_published_space() -> None:
    space = SearchSpace()
    assert space.operators == OPERATORS[:9]
    assert space.nodes == 10
    assert [str(formula) for formula in space.decode(written(space, *([("identity", leaf)] for leaf in range(3))))] == [
        str(Formula.parse("identity(" * 10 + leaf + ")" * 10)) for leaf in ("pred", "label", "1")
    ]


@pytest.mark.parametrize("space", [SearchSpace(), full_space(nodes=3), SearchSpace(["add"], ["pred", "label"], 1)])
def test_uniform_draws_are_valid_and_their_operands_differ(space: SearchSpace) -> None:
    assert_valid(space.uniform(2000, seeded()), space, 2000)


def test_operators_are_uniform_at_every_node() -> None:
    space = SearchSpace(nodes=3)
    operators = space.uniform(20_000, seeded()).operators
    for node in range(3):
        assert chisquare(torch.bincount(operators[:, node], minlength=9)).pvalue > LEAST_P_VALUE


@pytest.mark.parametrize("binary", [True, False])
def test_operands_are_uniform_without_replacement_at_every_node(binary: bool) -> None:
    space = SearchSpace(["max" if binary else "log"], nodes=3)
    operands = space.uniform(20_000, seeded()).operands
    for node in range(3):
        earlier = 3 + node
        counts = Counter(map(tuple, operands[:, node].tolist()))
        assert len(counts) == (earlier * (earlier - 1) if binary else earlier)
        assert chisquare(list(counts.values())).pvalue > LEAST_P_VALUE


def test_a_seed_determines_the_samples() -> None:
    space = SearchSpace()
    assert equal(space.uniform(50, seeded(3)), space.uniform(50, seeded(3)))
    assert not equal(space.uniform(50, seeded(3)), space.uniform(50, seeded(4)))


def test_uniform_draws_with_the_published_clamp_have_the_published_shares() -> None:
    """The shares were counted on the published code: 69.1 % without gradient, 11.5 % sensitive to the label."""
    space, numerics, count = SearchSpace(), PRESETS["autolossgen"], 20_000
    programs = space.uniform(count, seeded())
    result = Screening(space, numerics, seeded(1)).screen(programs).result
    assert (result == ScreeningResult.ZERO_GRADIENT).sum() / count == pytest.approx(0.691, abs=0.02)

    pred = 0.1 + 0.8 * torch.rand(20, generator=seeded(2), dtype=torch.float64)
    by_label = [
        evaluate(programs, space, pred, torch.full_like(pred, label), numerics).gradient for label in (0.0, 1.0)
    ]
    sensitive = (by_label[0] - by_label[1]).abs().amax(1) >= 1e-4
    assert sensitive.sum() / count == pytest.approx(0.115, abs=0.02)


@pytest.mark.parametrize(
    ("program", "text"),
    [
        ([("negative", 1), ("add", 0, 3), ("square", 4)], "(pred + -label)**2"),
        ([("log", 0), ("multiply", 1, 3), ("negative", 4)], "-(label * log(pred))"),
        ([("reciprocal", 0), ("reciprocal", 2), ("min", 4, 1)], "min(reciprocal(1), label)"),
    ],
)
def test_programs_are_written_as_the_formulas_they_are(program: list, text: str) -> None:
    space = SearchSpace(nodes=3)
    assert space.decode(written(space, program)) == [Formula.parse(text)]


def test_leaves_may_be_other_constants() -> None:
    space = SearchSpace(["multiply"], ["pred", 0.5], nodes=1)
    assert space.decode(written(space, [("multiply", 1, 0)])) == [Formula.parse("0.5 * pred")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"operators": ["add", "pow"]}, "operator 'pow' is unknown; choose among add, multiply"),
        ({"operators": []}, "at least one operator"),
        ({"nodes": 0}, "one node"),
        ({"leaves": ["pred"]}, "two leaves"),
        ({"leaves": ["label", 1.0]}, "'pred' among them"),
        ({"leaves": ["pred", "rating"]}, "unknown name 'rating'"),
        ({"leaves": ["pred", "gap"]}, "leaves pred, gap; the variables of one loss are pred, label or pos, neg"),
        ({"operators": ["add", "mean"]}, "operator 'mean' is not for losses of pred, label"),
        ({"leaves": ["beta", 1.0]}, "'pos' or 'neg' or 'gap'.* among them"),
    ],
)
def test_spaces_without_formulas_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SearchSpace(**arguments)
