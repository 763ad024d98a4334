"""Writes a formula as LaTeX, with the definitions of the operators that training protects."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from lightning_modules.losses import Formula, FormulaBased, Node, Numerics, Operation
from lightning_modules.utilities.files import replace_file

_EQUATION = "% {comment}\n\\begin{{equation}}\n    \\ell({arguments}) = {formula}\n\\end{{equation}}\n"
#: Definition of every protected operator, with a placeholder for eps.
_MEANINGS: Mapping[str, str] = {
    "log": r"$\log(x)$ is $\operatorname{{sgn}}(x) \ln(|x| + {eps})$",
    "reciprocal": r"$\frac{{a}}{{b}}$ is $a \operatorname{{sgn}}(b) / (|b| + {eps})$",
    "sqrt": r"$\sqrt{{x}}$ is $\operatorname{{sgn}}(x) \sqrt{{|x| + {eps}}}$",
    "exp": r"$\exp(x)$ is $\exp(\min(x, 80))$",
    "sum": r"$\sum_{{j}}$ is a sum over the negatives",
    "mean": r"$\operatorname{{mean}}_{{j}}$ is their mean",
    "logmeanexp": r"$\operatorname{{logmeanexp}}_{{j}}(x_j)$ is $\ln \frac{{1}}{{N}} \sum_j e^{{x_j}}$",
    "hard": r"$\operatorname{{hard}}_{{j}}$ is the mean weighted by $\operatorname{{softmax}}_j \bar{{s}}_{{j}}$, "
    "without a gradient by the weights",
    "softplus": r"$\operatorname{{softplus}}(x)$ is $\ln(1 + e^x)$",
    "detach": r"$\operatorname{{detach}}(x)$ is $x$ without a gradient",
}


def to_latex(formula: Formula, numerics: Numerics | None = None) -> str:
    r"""Return the formula as trained and, if shorter, simplified, each in an ``equation``.

    The definitions of protected operators follow the first equation, so that both together are the function that was
    trained. The simplified formula leaves out terms without gradient. Variables are written by the symbols of the
    formula's dialect, and ``\operatorname`` needs the package amsmath.

    Raises:
        FormulaError: If the formula is too long to be written out.
    """
    found = formula.latex()
    simplified = formula.shown.latex()
    meanings = [*filter(None, [formula.dialect.meaning]), *_protections(formula.nodes, numerics or Numerics())]
    arguments = formula.dialect.arguments
    trained = _EQUATION.format(comment="As trained.", arguments=arguments, formula=found)
    texts = [trained, f"where {'; '.join(meanings)}.\n"]
    if len(simplified) < len(found):
        comment = "Simplified under real arithmetic, without protections, clamps and terms without gradient."
        texts.append(_EQUATION.format(comment=comment, arguments=arguments, formula=simplified))
    return "\n".join(texts)


def write_latex(loss: FormulaBased, path: Path) -> None:
    """Write the LaTeX of a loss's formula to a file; raises like :func:`to_latex`."""
    text = to_latex(loss.formula, loss.numerics)
    replace_file(path, lambda unfinished: unfinished.write_text(text, encoding="utf-8"))


def _protections(nodes: Sequence[Node], numerics: Numerics) -> list[str]:
    """Return the definitions of a formula's protected operators, and that of the clamp last."""
    low, high = (_number(each) for each in (numerics.low, numerics.high))
    bounds = f"the result of every operation is kept between ${low}$ and ${high}$"
    return [*(each.format(eps=_number(numerics.eps)) for each in _used(nodes)), bounds]


def _used(nodes: Sequence[Node]) -> list[str]:
    names = {node.operator for node in nodes if isinstance(node, Operation)}
    return [meaning for name, meaning in _MEANINGS.items() if name in names]


def _number(value: float) -> str:
    mantissa, _, exponent = f"{value:g}".partition("e")
    if mantissa.endswith("inf"):
        return mantissa.replace("inf", r"\infty")
    return rf"{mantissa} \cdot 10^{{{int(exponent)}}}" if exponent else mantissa
