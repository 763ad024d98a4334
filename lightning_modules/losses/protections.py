"""Says what the operators of a printed formula stand for, since training protects them."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from lightning_modules.losses.nodes import Node, Operation
from lightning_modules.losses.numerics import Numerics


class _Meaning(NamedTuple):
    """An operator in text and in LaTeX, with a place for eps."""

    text: str
    latex: str


_MEANINGS: Mapping[str, _Meaning] = {
    "log": _Meaning(
        "log(x) is sign(x) * log(abs(x) + {eps})",
        r"$\log(x)$ is $\operatorname{{sgn}}(x) \ln(|x| + {eps})$",
    ),
    "reciprocal": _Meaning(
        "a / b is a * sign(b) / (abs(b) + {eps})",
        r"$\frac{{a}}{{b}}$ is $a \operatorname{{sgn}}(b) / (|b| + {eps})$",
    ),
    "sqrt": _Meaning(
        "sqrt(x) is sign(x) * sqrt(abs(x) + {eps})",
        r"$\sqrt{{x}}$ is $\operatorname{{sgn}}(x) \sqrt{{|x| + {eps}}}$",
    ),
    "exp": _Meaning("exp(x) is exp(min(x, 80))", r"$\exp(x)$ is $\exp(\min(x, 80))$"),
}


def protections(nodes: Sequence[Node], numerics: Numerics) -> list[str]:
    """Return a definition of every protected operator of a formula, in the formula language, and of its clamp."""
    bounds = f"the result of every operation is kept between {numerics.low:g} and {numerics.high:g}"
    return [*(each.text.format(eps=f"{numerics.eps:g}") for each in _used(nodes)), bounds]


def latex_protections(nodes: Sequence[Node], numerics: Numerics) -> list[str]:
    """Return the same in LaTeX."""
    low, high = (_number(each) for each in (numerics.low, numerics.high))
    bounds = f"the result of every operation is kept between ${low}$ and ${high}$"
    return [*(each.latex.format(eps=_number(numerics.eps)) for each in _used(nodes)), bounds]


def _used(nodes: Sequence[Node]) -> list[_Meaning]:
    names = {node.operator for node in nodes if isinstance(node, Operation)}
    return [meaning for name, meaning in _MEANINGS.items() if name in names]


def _number(value: float) -> str:
    mantissa, _, exponent = f"{value:g}".partition("e")
    if mantissa.endswith("inf"):
        return mantissa.replace("inf", r"\infty")
    return rf"{mantissa} \cdot 10^{{{int(exponent)}}}" if exponent else mantissa
