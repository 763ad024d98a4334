import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from matplotlib.mathtext import MathTextParser

from lightning_modules.losses import OPERATOR_BY_NAME, Constant, Formula, FormulaError, Operation, Variable
from tests.losses.formulas.formula_strategies import any_number, damaged, formulas, tree

pieces = [
    "pred",
    "label",
    "log",
    "max",
    "(",
    ")",
    ",",
    "+",
    "-",
    "*",
    "/",
    "**2",
    "^ 2",
    "1",
    ".5",
    "1e-3",
    " ",
    "é",
    "2e",
]


@given(formulas(numbers=any_number))
@example(Formula((Constant(5e-324),)))
@example(Formula((Constant(1.7976931348623157e308),)))
def test_text_reads_back_as_the_same_formula(formula):
    assert Formula.parse(str(formula)) == formula


@given(formulas())
def test_the_simplified_text_reads_back_too(formula):
    simple = formula.simplify()
    assert Formula.parse(str(simple)) == simple


@given(formulas())
def test_calls_mean_the_same_as_signs(formula):
    assert Formula.parse(tree(formula)) == formula


@given(formulas())
def test_case_and_space_do_not_matter(formula):
    spread = re.sub(r"([-+/(),]|\*+)", r" \1\n ", str(formula)).upper()
    assert Formula.parse(re.sub(r"E\s*([-+])\s*", r"E\1", spread)) == formula


@pytest.mark.parametrize("operator", OPERATOR_BY_NAME)
@pytest.mark.parametrize("side", [0, 1])
def test_the_deepest_formulas_read_back(operator, side):
    nodes = [Variable("label"), Variable("pred")]
    for position in range(1, 65):
        operands = (position, 0) if side else (0, position)
        nodes.append(Operation(operator, operands if OPERATOR_BY_NAME[operator].arity == 2 else (position,)))
    formula = Formula(tuple(nodes))
    assert formula.depth == 64
    assert Formula.parse(str(formula)) == formula


@given(st.lists(st.sampled_from(["-", "+", "*", "/", "**2"]), min_size=64, max_size=64))
def test_the_deepest_mixed_formulas_read_back(symbols):
    text = "pred"
    for symbol in symbols:
        text = {"-": "-({})", "+": "label + ({})", "*": "label * ({})", "/": "1 / ({})", "**2": "({})**2"}[
            symbol
        ].format(text)
    formula = Formula.parse(text)
    assert formula.depth == 64
    assert Formula.parse(str(formula)) == formula


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("a - b", "add(a, negative(b))"),
        ("a - b - a", "add(add(a, negative(b)), negative(a))"),
        ("a / b", "multiply(a, reciprocal(b))"),
        ("a / b * a", "multiply(multiply(a, reciprocal(b)), a)"),
        ("1 / b", "reciprocal(b)"),
        ("1 / a / b", "multiply(reciprocal(a), reciprocal(b))"),
        ("-1 / b", "multiply(negative(1), reciprocal(b))"),
        ("1 * (1 / b)", "multiply(1, reciprocal(b))"),
        ("-a**2", "negative(square(a))"),
        ("-a * b", "multiply(negative(a), b)"),
        ("a * -b**2", "multiply(a, negative(square(b)))"),
        ("a + b * a", "add(a, multiply(b, a))"),
        ("(a)^ 2", "square(a)"),
        ("--a", "negative(negative(a))"),
    ],
)
def test_signs_mean_what_python_means(text, meaning):
    named = {"a": "pred", "b": "label"}
    text, meaning = (re.sub(r"\b[ab]\b", lambda match: named[match.group()], each) for each in (text, meaning))
    assert Formula.parse(text) == Formula.parse(meaning)


@pytest.mark.parametrize(
    ("published", "text"),
    [
        ("Log ((1/(Pred)))*(Label)", "log(1 / pred) * label"),
        ("max((Label)/(Pred), (Pred)/(Label))", "max(label / pred, pred / label)"),
        ("((Label) + (Pred)) / ((Label)*(Pred))", "(label + pred) / (label * pred)"),
        ("-(Log (Pred))", "-log(pred)"),
        ("((Pred) - (Label)) ^ 2", "(pred - label)**2"),
        ("identity(multiply(Pred , 0.50))", "identity(pred * 0.5)"),
        ("1.0 + 1E-03 * Label - 1e16", "1 + 0.001 * label - 1e+16"),
        ("Label - (Pred - Label) - (-Pred)", "label - (pred - label) - -pred"),
    ],
)
def test_published_spellings_are_printed_plainly(published, text):
    assert str(Formula.parse(published)) == text


@given(st.text() | formulas().map(str).flatmap(damaged) | st.lists(st.sampled_from(pieces)).map("".join))
@example("(" * 10_000)
@example("-" * 10_000 + "pred")
@example("log(" * 10_000)
@example("1 / (" * 10_000)
@example("pred + " * 10_000 + "pred")
@example("x" * 100_000)
@example(" " * 200_001)
@example("\ud800")
def test_any_text_is_a_formula_or_a_formula_error(text):
    try:
        formula = Formula.parse(text)
    except FormulaError as caught:
        message = str(caught)
    else:
        message = ""
        assert Formula.parse(str(formula)) == formula
    assert len(message) < 600


@pytest.mark.parametrize(
    ("text", "position", "reason"),
    [
        ("", 1, r"expected a name, a number, '-' or '\(', found the end"),
        ("log(pred", 9, r"expected an operator or '\)', found the end"),
        ("pred label", 6, "expected an operator or the end, found 'label'"),
        ("2pred", 2, "expected an operator or the end"),
        ("label * logg(pred)", 9, "unknown name 'logg'.*did you mean log?"),
        ("predict", 1, "unknown name 'predict'.*did you mean pred?"),
        ("log pred", 5, "needs its operands in parentheses"),
        ("log()", 5, "expected a name"),
        ("pred + max(1, 2, 3)", 8, "'max' takes 2 operands, got 3; nest the calls"),
        ("pred**3", 7, "the only exponent is 2"),
        ("pred**2**2", 8, "a power of a power"),
        ("1e400", 1, "too large"),
        ("pred @ label", 6, "unexpected character '@'"),
        ("__import__('os')", 1, "unknown name '__import__'"),
    ],
)
def test_errors_name_the_place_and_the_reason(text, position, reason):
    with pytest.raises(FormulaError, match=reason) as caught:
        Formula.parse(text)
    first, excerpt, caret = str(caught.value).split("\n")
    assert first.startswith(f"formula, character {position}:")
    assert excerpt == f"  {text}"
    assert caret == " " * (position + 1) + "^"


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("log(1 / pred) * label", r"\log\left(\frac{1}{\hat{y}}\right) \cdot y"),
        ("(label - pred)**2", r"\left(y - \hat{y}\right)^{2}"),
        ("(label / pred)**2", r"\left(\frac{y}{\hat{y}}\right)^{2}"),
        ("sqrt(abs(pred)) * -label", r"\sqrt{\left|\hat{y}\right|} \cdot \left(-y\right)"),
        ("max(1e-06, sigmoid(pred))", r"\max\left(1 \cdot 10^{-6}, \sigma\left(\hat{y}\right)\right)"),
    ],
)
def test_latex(text, latex):
    assert Formula.parse(text).latex() == latex


@given(formulas(max_operations=6, numbers=any_number))
def test_latex_is_balanced_and_readable_by_matplotlib(formula):
    latex = formula.latex()
    assert latex.count("{") == latex.count("}")
    assert latex.count(r"\left") == latex.count(r"\right")
    MathTextParser("path").parse(f"${latex}$")
