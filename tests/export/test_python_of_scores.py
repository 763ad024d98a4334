"""Formulas of scores become modules and LaTeX too."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_modules.export.latex import to_latex
from lightning_modules.export.python import to_python, write_python
from lightning_modules.export.python_check import check_module
from lightning_modules.export.python_expressions import SCORE_TEMPLATES, TEMPLATES
from lightning_modules.losses import PRESETS, RANKING, Formula, RankingFormulaLoss
from tests.losses.formulas.formula_strategies import any_number, ranking_formulas
from tests.losses.listwise_cases import scored


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("written")


def imported(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@settings(max_examples=60)
@given(ranking_formulas(numbers=any_number, max_operations=12), st.sampled_from([*PRESETS]))
def test_what_is_written_passes_its_own_check(folder: Path, formula: Formula, preset: str) -> None:
    write_python(RankingFormulaLoss(formula, preset), folder / "loss.py")


def test_every_operator_is_written(tmp_path: Path) -> None:
    assert {*TEMPLATES, *SCORE_TEMPLATES} == {operator.name for operator in RANKING.operators}
    for operator in RANKING.operators:
        operands = ["gap_t * 3", "pos"][: operator.arity]
        write_python(RankingFormulaLoss(f"{operator.name}({', '.join(operands)})"), tmp_path / "loss.py")


def test_the_module_computes_the_loss_at_its_temperature(tmp_path: Path) -> None:
    loss = RankingFormulaLoss("softplus(-pos_t) + sum(relu(gap_t)) + hard(neg)", temperature=0.3)
    write_python(loss, tmp_path / "loss.py")
    batch = scored()
    found = imported(tmp_path / "loss.py").loss(batch.positive, batch.negative)
    torch.testing.assert_close(found, loss(batch.positive, batch.negative), rtol=0, atol=0)
    assert "temperature: float = 0.3" in to_python(loss)


def test_what_scores_do_not_tell_is_an_argument(tmp_path: Path) -> None:
    loss = RankingFormulaLoss("sigmoid(pos - beta) * logmeanexp(gap_t)")
    write_python(loss, tmp_path / "loss.py")
    batch, beta = scored(), torch.linspace(-1, 1, 5, dtype=torch.double)
    found = imported(tmp_path / "loss.py").loss(batch.positive, batch.negative, beta)
    torch.testing.assert_close(found, loss.value_of(batch.positive, batch.negative, None, {"beta": beta}))


def test_a_module_that_computes_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "loss.py"
    path.write_text(to_python(RankingFormulaLoss("softplus(gap_t)")))
    with pytest.raises(RuntimeError, match="differs from the formula in value for rows of 1 negatives"):
        check_module(path, RankingFormulaLoss("softplus(gap_t) + 1"))
    with pytest.raises(RuntimeError, match="differs from the formula in gradient"):
        check_module(path, RankingFormulaLoss("detach(softplus(gap_t)) + (pos - detach(pos))"))


def test_latex_says_what_the_symbols_are() -> None:
    text = to_latex(Formula.parse("mean(softplus(gap_t)) + hard(neg)"))
    assert r"\ell(s_{+}, s_{1}, \dots, s_{N}) = \operatorname{mean}_{j}\left(" in text
    assert r"$d_{j} = s_{j} - s_{+}$, a bar divides by the temperature" in text
    assert r"$\operatorname{softplus}(x)$ is $\ln(1 + e^x)$" in text
    assert "without a gradient by the weights" in text
