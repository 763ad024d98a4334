from xml.etree.ElementTree import fromstring

import numpy as np
import pytest
from hypothesis import given

from lightning_modules.losses import RANKING, Constant, Formula, Numerics, Variable
from lightning_modules.losses.formulas.dialect import VARIABLES
from lightning_modules.losses.formulas.mathml import SYMBOLS
from tests.losses.formulas.formula_strategies import any_number, formulas, ranking_formulas
from tests.losses.formulas.mathml_values import Reader
from tests.losses.formulas.numpy_formula import numpy_values

PRED, LABEL = np.array([0.02, 0.5, 0.97, 0.3]), np.array([1.0, 0.0, 0.0, 1.0])
NUMERICS = Numerics()


@given(formulas(max_operations=8, numbers=any_number))
def test_what_mathml_shows_has_the_values_of_the_formula(formula):
    shown = Reader({"y^": PRED, "y": LABEL}, NUMERICS).value(formula.mathml())
    np.testing.assert_allclose(shown, numpy_values(formula, PRED, LABEL, NUMERICS)[-1], rtol=1e-9, equal_nan=True)


LEFT, RIGHT = (f'<mo stretchy="false">{fence}</mo>' for fence in "()")
MINUS, TIMES = "<mo>\N{MINUS SIGN}</mo>", "<mo>\N{MIDDLE DOT}</mo>"
PRED_SYMBOL = SYMBOLS["pred"]


@pytest.mark.parametrize(
    ("text", "mathml"),
    [
        ("1 / pred", f"<mfrac><mrow><mn>1</mn></mrow><mrow>{PRED_SYMBOL}</mrow></mfrac>"),
        (
            "(label - pred)**2",
            f"<msup><mrow><mrow>{LEFT}<mi>y</mi>{MINUS}{PRED_SYMBOL}{RIGHT}</mrow></mrow><mn>2</mn></msup>",
        ),
        ("sqrt(label)", "<msqrt><mi>y</mi></msqrt>"),
        (
            "1e-06 * label",
            f"<mn>1</mn>{TIMES}<msup><mn>10</mn><mn>\N{MINUS SIGN}6</mn></msup>{TIMES}<mi>y</mi>",
        ),
        ("(1 / label)**2", "<msup><mrow><mrow><mo>(</mo>"),
    ],
)
def test_mathml(text, mathml):
    assert Formula.parse(text).mathml().startswith(f"<mrow>{mathml}")


@given(ranking_formulas(max_operations=6))
def test_mathml_of_scores_holds_their_symbols(formula):
    tree = fromstring(formula.mathml())
    assert {each.tag for each in tree.iter()} <= {"mrow", "mi", "mn", "mo", "mfrac", "msqrt", "msub", "msup", "mover"}
    found = ["".join(each.itertext()) for each in tree.iter() if each.tag in ("msub", "mi", "mover")]
    for node in formula.nodes:
        if isinstance(node, Variable):
            assert "".join(fromstring(SYMBOLS[node.name]).itertext()) in found
        elif isinstance(node, Constant):
            assert any(each.tag == "mn" for each in tree.iter())


def test_every_variable_has_a_symbol():
    assert tuple(SYMBOLS) == VARIABLES


def test_the_symbols_of_scores_differ():
    assert len({SYMBOLS[name] for name in RANKING.variables}) == len(RANKING.variables)
