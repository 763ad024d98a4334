import pytest
import torch
from hypothesis import example, given, settings
from jsonargparse import ArgumentError, ArgumentParser
from torch import nn

from lightning_modules.losses import BCE, PRESETS, Formula, FormulaError, FormulaLoss, Loss, Numerics
from tests.losses.formulas.formula_strategies import formulas

EDGES = torch.tensor(
    [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [0.5, 0.0], [0.5, 1.0], [1e-7, 1.0], [1 - 1e-7, 0.0]]
)


class Model(nn.Module):
    """Takes a loss as the models of the package do."""

    def __init__(self, loss: Loss | None = None) -> None:
        super().__init__()
        self.loss = loss


def read(*arguments: str, config: dict | None = None) -> FormulaLoss:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(Model, "model")
    options = parser.parse_object({"model": config}) if config else parser.parse_args(arguments)
    return parser.instantiate(options).model.loss


def edges() -> tuple[torch.Tensor, torch.Tensor]:
    pred, label = EDGES.unbind(dim=1)
    return pred.clone().requires_grad_(), label


@settings(max_examples=200)
@pytest.mark.parametrize("preset", PRESETS)
@given(formulas())
@example(Formula.parse("1"))
@example(Formula.parse("label"))
@example(Formula.parse("exp(exp(exp(pred * 100)))"))
@example(Formula.parse("sqrt(pred - pred) * log(pred - pred) / (pred - pred)"))
def test_values_and_gradients_are_finite_at_the_edges(preset, formula):
    pred, label = edges()
    value = FormulaLoss(formula, preset)(pred, label)
    assert value.shape == pred.shape
    value.mean().backward()
    assert value.isfinite().all()
    assert pred.grad is not None
    assert pred.grad.isfinite().all()


@pytest.mark.parametrize("text", ["1", "label", "label * log(2)"])
def test_a_formula_without_pred_has_the_gradient_zero(text):
    pred, label = edges()
    FormulaLoss(text)(pred, label).mean().backward()
    assert (pred.grad == 0).all()


def test_without_the_clamp_the_formula_and_eps_are_the_same():
    pred, label = torch.tensor([0.25, 0.5], dtype=torch.double), torch.ones(2, dtype=torch.double)
    clamped = FormulaLoss("label / pred", Numerics(eps=0.5, low=-1.0, high=1.0))
    assert clamped(pred, label).tolist() == [1, 1]
    assert clamped.unclamped()(pred, label).tolist() == pytest.approx([1 / 0.75, 1])
    assert clamped(pred, label).tolist() == [1, 1]


def test_a_formula_has_texts_for_reading():
    loss = FormulaLoss("pred + pred * 1")
    assert (loss.simplified, loss.latex) == ("2 * pred", loss.formula.latex())


def test_the_formula_of_binary_cross_entropy_is_binary_cross_entropy():
    formula = "label * log(1 / pred) - (1 - label) * log(1 - pred)"
    logit, label = torch.randn(50, dtype=torch.double), torch.randint(0, 2, (50,)).double()
    loss = FormulaLoss(formula, Numerics(eps=0.0))
    torch.testing.assert_close(loss.from_logit(logit, label), BCE()(logit, label))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype):
    pred, label = torch.tensor([0.25, 0.75], dtype=dtype), torch.tensor([0.0, 1.0], dtype=dtype)
    for preset in PRESETS:
        value = FormulaLoss("-label * log(pred) + 1e9 * (label - label)", preset)(pred, label)
        assert value.dtype == dtype
        assert value.isfinite().all()


@pytest.mark.parametrize("text", ["max(label/pred, pred/label)", "-pred", "1", "label - 1e-3", "1 / pred"])
def test_from_the_command_line(text):
    loss = read("--model", "Model", "--model.loss", "FormulaLoss", f"--model.loss.formula={text}")
    assert loss.formula == Formula.parse(text)
    assert loss.numerics == PRESETS["protected"]


def test_numerics_from_the_command_line():
    given = ["--model", "Model", "--model.loss", "FormulaLoss", "--model.loss.formula", "pred"]
    assert read(*given, "--model.loss.numerics", "autolossgen").numerics == PRESETS["autolossgen"]
    assert read(*given, "--model.loss.numerics.eps", "1e-3").numerics == Numerics(eps=1e-3)


def test_from_a_configuration():
    numerics = {"eps": 1e-6, "low": -1.0, "high": 1.0}
    init_args = {"formula": "max(label/pred, pred/label)", "numerics": numerics}
    loss = {"class_path": "lightning_modules.losses.FormulaLoss", "init_args": init_args}
    built = read(config={"class_path": f"{__name__}.Model", "init_args": {"loss": loss}})
    assert built.formula == Formula.parse("max(label/pred, pred/label)")
    assert built.numerics == Numerics(**numerics)
    assert built.spec() == {**loss, "init_args": {"formula": "max(label / pred, pred / label)", "numerics": numerics}}


def test_errors_reach_the_user():
    with pytest.raises(FormulaError, match="did you mean log"):
        FormulaLoss("logg(pred)")
    with pytest.raises(ValueError, match="'publisched' is unknown; choose one of protected, autolossgen"):
        FormulaLoss("pred", "publisched")
    with pytest.raises(ArgumentError, match="epsilon"):
        read("--model", "Model", "--model.loss", "FormulaLoss", "--model.loss.numerics.epsilon", "1")
    for bounds in ({"eps": -1.0}, {"eps": float("nan")}, {"low": 1.0, "high": 1.0}):
        with pytest.raises(ValueError, match="eps >= 0 and low < high"):
            Numerics(**bounds)


def test_it_shows_its_formula():
    assert "max(pred, label), Numerics(eps=1e-06" in repr(FormulaLoss("max(pred,label)"))
