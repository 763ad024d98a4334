import os
import subprocess
import sys

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import example, given, settings

from lightning_modules.export import python as python_module
from lightning_modules.export.python import to_python, write_python
from lightning_modules.export.python_expressions import TEMPLATES
from lightning_modules.losses import OPERATOR_BY_NAME, OPERATORS, PRESETS, Formula, FormulaLoss, Numerics
from tests.losses.formulas.formula_strategies import any_number, formulas

presets = pytest.mark.parametrize("preset", PRESETS)
other_numerics = st.sampled_from(
    [Numerics(eps=0.0), Numerics(eps=1e-3, low=-1.0, high=2.0), Numerics(low=float("-inf"), high=float("inf"))]
)


def loaded(text):
    """Run the text as a module by another way than the package does."""
    namespace = {"__name__": "written"}
    exec(compile(text, "written.py", "exec"), namespace)
    return namespace["loss"]


def value_and_gradient(function, dtype):
    pred = torch.cat([torch.linspace(0, 1, 33), torch.tensor([1e-7, 1 - 1e-7])]).to(dtype).repeat(2).requires_grad_()
    label = torch.tensor([0.0, 1.0], dtype=dtype).repeat_interleave(len(pred) // 2)
    value = function(pred, label)
    value.sum().backward()
    return value.detach(), pred.grad


@settings(max_examples=100)
@presets
@given(formula=formulas())
@example(formula=Formula.parse("1"))
@example(formula=Formula.parse("label"))
@example(formula=Formula.parse("log(2) - negative(3)"))
@example(formula=Formula.parse("exp(exp(exp(pred * 100)))"))
def test_the_module_computes_what_the_loss_computes(preset, formula):
    loss = FormulaLoss(formula, preset)
    written = loaded(to_python(loss))
    for dtype in (torch.float32, torch.float64):
        (value, gradient), (right_value, right_gradient) = (value_and_gradient(each, dtype) for each in (written, loss))
        torch.testing.assert_close(value, right_value, rtol=0, atol=0)
        scale = right_gradient.abs().max().item()
        close = (
            {"rtol": 1e-4, "atol": 1e-4 * min(scale, 1e4)}
            if dtype == torch.float32
            else {"rtol": 1e-9, "atol": 1e-9 * scale}
        )
        torch.testing.assert_close(gradient, right_gradient, **close)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("written")


@settings(max_examples=100)
@given(
    formula=formulas(numbers=any_number, max_operations=20),
    numerics=st.one_of(st.sampled_from(list(PRESETS.values())), other_numerics),
)
def test_what_is_written_passes_its_own_check(folder, formula, numerics):
    write_python(FormulaLoss(formula, numerics), folder / "loss.py")


@presets
@pytest.mark.parametrize("operator", OPERATORS, ids=lambda operator: operator.name)
def test_every_operator_is_written(operator, preset, tmp_path):
    operands = ["pred - 0.5", "label"][: operator.arity]
    for text in (
        f"{operator.name}({', '.join(operands)})",
        f"{operator.name}({', '.join(['100', '7'][: operator.arity])})",
    ):
        write_python(FormulaLoss(text, preset), tmp_path / "loss.py")
    assert set(TEMPLATES) == set(OPERATOR_BY_NAME)


def test_a_known_loss_reads_well():
    text = to_python(FormulaLoss("label * log(1 / pred) - (1 - label) * log(1 - pred)"))
    assert text.endswith("    return label * _log(_clamp(_reciprocal(pred))) - (1.0 - label) * _log(1.0 - pred)\n")
    assert "_sqrt" not in text
    assert "_exp" not in text


def test_shared_parts_are_computed_once():
    text = to_python(FormulaLoss("square(label - pred) * exp(identity(label - pred))"))
    assert text.count("label - pred\n") == 1
    assert "    difference_1 = label - pred\n    return torch.square(difference_1) * _exp(difference_1)\n" in text


def test_long_formulas_stay_within_the_line(tmp_path):
    sines = " + ".join(f"sigmoid({number} * pred) * tanh({number} - label)" for number in range(3, 20))
    deep = "log(" * 40 + "pred" + ")" * 40
    for text in (sines, deep):
        write_python(FormulaLoss(text), tmp_path / "loss.py")
        lines = (tmp_path / "loss.py").read_text().splitlines()
        code = lines[lines.index("import torch") :]
        assert max(map(len, code)) <= 120


def test_modules_are_formatted_and_stand_alone(tmp_path):
    texts = {
        "ratio": "max(label / pred, pred / label)",
        "calls": "exp(pred) * sqrt(label) + log(pred)",
        "two": "2 * label",
    }
    for name, text in texts.items():
        write_python(FormulaLoss(text), tmp_path / f"{name}.py")
    assert sorted(os.listdir(tmp_path)) == ["calls.py", "ratio.py", "two.py"]
    for command in (
        ["check", "--select=E,F,I,D,UP,W,RUF", "--config=lint.pydocstyle.convention='google'"],
        ["format", "--check"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--no-cache", "--line-length=120", "."],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout
    program = (
        "import sys, torch, calls, ratio, two; ones = torch.ones(2);"
        "[each.loss(ones, ones) for each in (calls, ratio, two)];"
        "sys.exit('lightning_modules' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-B", "-c", program], cwd=tmp_path).returncode == 0


@pytest.mark.parametrize(
    ("right", "wrong", "what"),
    [
        ("label - pred", "label + pred", r"value at pred = 0\.00.* in torch.float32: .* instead of"),
        ("1e-06", "1e-09", "value"),
        ("label - pred)", "label - pred.detach()) + 0 * pred", "gradient"),
    ],
)
def test_a_module_that_computes_something_else_is_refused(right, wrong, what, tmp_path, monkeypatch):
    honest = to_python(FormulaLoss("square(label - pred) - log(pred)"))
    assert right in honest
    monkeypatch.setattr(python_module, "to_python", lambda loss: honest.replace(right, wrong))
    (tmp_path / "loss.py").write_text("the one before")
    with pytest.raises(RuntimeError, match=what):
        write_python(FormulaLoss("square(label - pred) - log(pred)"), tmp_path / "loss.py")
    assert os.listdir(tmp_path) == ["loss.py"]
    assert (tmp_path / "loss.py").read_text() == "the one before"
