import pytest
import torch
from torch import Tensor

from lightning_modules.losses import PRESETS, Formula, FormulaLoss, Numerics
from lightning_modules.search.program_gradients import evaluate
from lightning_modules.search.space import SearchSpace
from tests.search.search_helpers import SQUARED_ERROR, WrittenNode, full_space, seeded, written

# 0 and 1 are the leaves' other values: there max and min meet ties, and abs, relu and sqrt their kinks.
PREDICTIONS = torch.cat([torch.tensor([0.0, 1.0], dtype=torch.float64), torch.linspace(0.01, 0.99, 9).double()])


def points() -> tuple[Tensor, Tensor]:
    label = torch.cat([torch.zeros_like(PREDICTIONS), torch.ones_like(PREDICTIONS)])
    return PREDICTIONS.repeat(2), label


def by_autograd(formula: Formula, numerics: Numerics, pred: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
    leaf = pred.clone().requires_grad_()
    value = FormulaLoss(formula, numerics)(leaf, label)
    (gradient,) = torch.autograd.grad(value.sum(), leaf)
    return value.detach(), gradient


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("nodes", [1, 4, 10])
def test_random_programs_have_the_value_and_gradient_of_their_trained_loss(preset: str, nodes: int) -> None:
    space, numerics = full_space(nodes), PRESETS[preset]
    programs = space.uniform(300, seeded(nodes))
    pred, label = points()
    evaluated = evaluate(programs, space, pred, label, numerics)
    applied = programs.operators[programs.used(len(space.leaves))].unique()
    assert len(applied) == len(space.operators)
    assert (evaluated.gradient.abs().amax(1) > 0).double().mean() > 0.2
    for row, formula in enumerate(space.decode(programs)):
        value, gradient = by_autograd(formula, numerics, pred, label)
        torch.testing.assert_close(evaluated.value[row], value, rtol=1e-10, atol=1e-10, msg=str(formula))
        torch.testing.assert_close(evaluated.gradient[row], gradient, rtol=1e-8, atol=1e-10, msg=str(formula))


@pytest.mark.parametrize(
    ("program", "gradient_at_one"),
    [
        # Two nodes of one value share the derivative, as autograd has it.
        ([("max", 0, 2)], 0.5),
        ([("min", 0, 2)], 0.5),
        ([("identity", 0), ("max", 0, 3)], 1.0),
        ([("identity", 0), ("min", 3, 0)], 1.0),
        ([("square", 0), ("max", 3, 2)], 1.0),
        ([("square", 0), ("min", 3, 0)], 1.5),
    ],
)
def test_ties_share_the_gradient(program: list[WrittenNode], gradient_at_one: float) -> None:
    space = full_space(nodes=3)
    one = torch.ones(1, dtype=torch.float64)
    programs = written(space, program)
    gradient = evaluate(programs, space, one, torch.zeros_like(one), Numerics()).gradient
    assert gradient.item() == gradient_at_one
    assert by_autograd(space.decode(programs)[0], Numerics(), one, 0 * one)[1].item() == gradient_at_one


def test_a_known_loss() -> None:
    space = SearchSpace()
    pred, label = points()
    evaluated = evaluate(written(space, SQUARED_ERROR), space, pred, label, PRESETS["protected"])
    torch.testing.assert_close(evaluated.value, (pred - label)[None] ** 2)
    torch.testing.assert_close(evaluated.gradient, 2 * (pred - label)[None])


def test_outside_the_clamp_there_is_no_gradient() -> None:
    space = SearchSpace(nodes=2)
    pred = torch.tensor([0.5], dtype=torch.float64)
    programs = written(space, [("negative", 0), ("square", 3)])
    evaluated = evaluate(programs, space, pred, pred, PRESETS["autolossgen"])
    assert evaluated.value.item() == pytest.approx(1e-5)
    assert evaluated.gradient.item() == 0.0


def test_programs_do_not_disturb_one_another() -> None:
    space = full_space()
    programs = space.uniform(50, seeded())
    pred, label = points()
    together = evaluate(programs, space, pred, label, Numerics())
    for row in range(0, 50, 7):
        alone = evaluate(programs[row : row + 1], space, pred, label, Numerics())
        assert torch.equal(alone.value[0], together.value[row])
        assert torch.equal(alone.gradient[0], together.gradient[row])
