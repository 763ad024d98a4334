"""Writes a formula as MathML, with what its symbols are and the operators that training protects."""

from collections.abc import Mapping, Sequence

from lightning_modules.losses import Formula, Node, Numerics, Operation
from lightning_modules.losses.formulas.mathml import (
    SYMBOLS,
    below,
    called,
    fenced,
    fraction,
    identifier,
    mark,
    number,
    power,
    row,
    scientific,
)

_X, _J = identifier("x"), identifier("j")
_X_J = below(_X, _J)
_SCORE = identifier("s")
#: What every kind of loss is a function of.
_ARGUMENTS: Mapping[str, str] = {
    "pointwise": f"{SYMBOLS['pred']}{mark(',')}{SYMBOLS['label']}",
    "ranking": mark(",").join([SYMBOLS["pos"], below(_SCORE, number("1")), mark("…"), below(_SCORE, identifier("N"))]),
}
#: What every variable is, in words.
_VARIABLES: Mapping[str, str] = {
    "pred": "the predicted probability of label 1, <code>pred</code>",
    "label": "the label, 0 or 1, <code>label</code>",
    "pos": "the score of an item that the user has, <code>pos</code>",
    "neg": "the score of one of N negatives, <code>neg</code>",
    "gap": "the score of a negative less that of the item, <code>gap</code>",
    "pos_t": "the score of an item that the user has over the temperature, <code>pos_t</code>",
    "neg_t": "the score of a negative over the temperature, <code>neg_t</code>",
    "gap_t": "the score of a negative less that of the item, over the temperature, <code>gap_t</code>",
    "beta": "the score from which on items are among the user's top K, <code>beta</code>",
    "log_popularity": "the logarithm of the item's number of training users, <code>log_popularity</code>",
}


def _math(*elements: str) -> str:
    return f"<math>{row(*elements)}</math>"


def _protected(inside: str) -> str:
    return f"{fenced(inside, '|', '|')}{mark('+')}{{eps}}"


_SIGN_OF_X = called(identifier("sgn"), _X)
#: Definition of every protected operator, with a placeholder for eps.
_MEANINGS: Mapping[str, tuple[str, str]] = {
    "log": (
        _math(called(identifier("log"), _X)),
        _math(_SIGN_OF_X, called(identifier("ln"), _protected(_X))),
    ),
    "reciprocal": (
        _math(fraction(identifier("a"), identifier("b"))),
        _math(
            identifier("a"),
            called(identifier("sgn"), identifier("b")),
            mark("/"),
            fenced(_protected(identifier("b"))),
        ),
    ),
    "sqrt": (_math(f"<msqrt>{_X}</msqrt>"), _math(_SIGN_OF_X, f"<msqrt>{_protected(_X)}</msqrt>")),
    "exp": (
        _math(called(identifier("exp"), _X)),
        _math(called(identifier("exp"), called(identifier("min"), f"{_X}{mark(',')}{number('80')}"))),
    ),
    "sum": (_math(below(mark("\N{N-ARY SUMMATION}"), _J)), "the sum over the negatives"),
    "mean": (_math(below(identifier("mean"), _J)), "the mean over the negatives"),
    "logmeanexp": (
        _math(called(below(identifier("logmeanexp"), _J), _X_J)),
        _math(
            identifier("ln"),
            fraction(number("1"), identifier("N")),
            below(mark("\N{N-ARY SUMMATION}"), _J),
            power(identifier("e"), _X_J),
        ),
    ),
    "hard": (
        _math(below(identifier("hard"), _J)),
        f"the mean weighted by {_math(below(identifier('softmax'), _J), SYMBOLS['neg_t'])}, without a gradient by the "
        "weights",
    ),
    "softplus": (
        _math(called(identifier("softplus"), _X)),
        _math(called(identifier("ln"), f"{number('1')}{mark('+')}{power(identifier('e'), _X)}")),
    ),
    "detach": (_math(called(identifier("detach"), _X)), f"{_math(_X)} without a gradient"),
}


def equation(formula: Formula) -> str:
    """Return a formula as MathML that stands by itself, with what it is a function of.

    Raises:
        FormulaError: If the formula is too long to be written out.
    """
    loss = called(identifier("\N{SCRIPT SMALL L}"), _ARGUMENTS[formula.dialect.name])
    return f'<math display="block">{row(loss, mark("="), formula.mathml())}</math>'


def meanings(formula: Formula, numerics: Numerics) -> list[tuple[str, str]]:
    """Return the symbols of a formula and its protected operators as MathML, each with what it is, as HTML."""
    eps = scientific(f"{numerics.eps:g}")
    symbols = [(_math(SYMBOLS[name]), words) for name, words in _VARIABLES.items() if name in formula.variables]
    return [*symbols, *((left, right.format(eps=eps)) for left, right in _used(formula.nodes))]


def clamp_words(numerics: Numerics) -> str:
    """Return between what the result of every operation is kept, as HTML."""
    low, high = (_math(scientific(f"{each:g}")) for each in (numerics.low, numerics.high))
    return f"The result of every operation is kept between {low} and {high}."


def _used(nodes: Sequence[Node]) -> list[tuple[str, str]]:
    names = {node.operator for node in nodes if isinstance(node, Operation)}
    return [meaning for name, meaning in _MEANINGS.items() if name in names]
