"""Random formulas for property-based tests."""

from collections.abc import Callable, Sequence
from functools import partial

from hypothesis import strategies as st

from lightning_modules.losses import OPERATOR_BY_NAME, RANKING, Constant, Formula, Operation, Variable
from lightning_modules.losses.formulas.operators import EVERY_OPERATOR

ALL_OPERATORS = tuple(OPERATOR_BY_NAME)

any_number = st.floats(min_value=0.0, allow_nan=False, allow_infinity=False)
simple_number = st.sampled_from([0.0, 0.1, 0.3, 0.5, 1.0, 2.0, 3.0])


@st.composite
def formulas(
    draw: st.DrawFn,
    operators: Sequence[str] = ALL_OPERATORS,
    max_operations: int = 12,
    numbers: st.SearchStrategy[float] = simple_number,
    variables: Sequence[str] = ("pred", "label"),
) -> Formula:
    """Draw a program as a search would: the leaves, then operations on any earlier nodes, which are often shared."""
    nodes = [*map(Variable, variables), Constant(draw(numbers))]
    for _ in range(draw(st.integers(0, max_operations))):
        operator = draw(st.sampled_from(list(operators)))
        operand = st.integers(0, len(nodes) - 1)
        arity = EVERY_OPERATOR[operator].arity
        nodes.append(Operation(operator, tuple(draw(operand) for _ in range(arity))))
    return Formula(tuple(nodes[: draw(st.integers(1, len(nodes)))]) if draw(st.booleans()) else tuple(nodes))


#: Draws formulas of scores.
ranking_formulas = partial(
    formulas, operators=[operator.name for operator in RANKING.operators], variables=RANKING.variables
)


@st.composite
def with_swapped_operands(draw: st.DrawFn, formula: Formula) -> Formula:
    """Draw the same formula with the operands of some commutative operations in the other order."""
    swapped = partial(draw, st.booleans())
    return Formula(
        tuple(
            Operation(node.operator, node.operands[::-1])
            if isinstance(node, Operation) and OPERATOR_BY_NAME[node.operator].commutative and swapped()
            else node
            for node in formula.nodes
        )
    )


#: Ways to write an operand ``x`` that mean the same in real arithmetic, for a reader of the text.
_SAME = ["-(-({}))", "identity({})", "1 * ({})", "({}) + 0", "({}) - label + label", "2 * ({}) / 2", "max({0}, {0})"]


def tree(formula: Formula, written: Callable[[str], str] = str) -> str:
    """Write a formula with a call for every operation, the plainest text there is; ``written`` may reword any part."""
    texts: list[str] = []
    for node in formula.nodes:
        if isinstance(node, Operation):
            texts.append(written(f"{node.operator}({', '.join(texts[operand] for operand in node.operands)})"))
        else:
            texts.append(written(node.name if isinstance(node, Variable) else repr(node.value)))
    return texts[-1]


@st.composite
def reworded(draw: st.DrawFn, formula: Formula) -> Formula:
    """Draw a formula that is equal to the given one by the rules of arithmetic, but not the same program."""
    same = st.sampled_from(["{}", *_SAME])
    return Formula.parse(tree(formula, lambda text: draw(same).format(text)))


@st.composite
def damaged(draw: st.DrawFn, text: str) -> str:
    """Draw a formula's text of which a few characters are lost, doubled, exchanged or foreign."""
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 3)))
        text = text[:start] + draw(st.sampled_from(["", text[start:end] * 2, *"()+-*/^,. 2eEx_é\0"])) + text[end:]
    return text
