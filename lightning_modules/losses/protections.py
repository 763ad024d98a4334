"""Says in LaTeX what the operators of a printed formula stand for, since training protects them."""

from collections.abc import Mapping, Sequence

from lightning_modules.losses.nodes import Node, Operation
from lightning_modules.losses.numerics import Numerics

#: Definition of every protected operator, with a place for eps.
_MEANINGS: Mapping[str, str] = {
    "log": r"$\log(x)$ is $\operatorname{{sgn}}(x) \ln(|x| + {eps})$",
    "reciprocal": r"$\frac{{a}}{{b}}$ is $a \operatorname{{sgn}}(b) / (|b| + {eps})$",
    "sqrt": r"$\sqrt{{x}}$ is $\operatorname{{sgn}}(x) \sqrt{{|x| + {eps}}}$",
    "exp": r"$\exp(x)$ is $\exp(\min(x, 80))$",
}


def latex_protections(nodes: Sequence[Node], numerics: Numerics) -> list[str]:
    """Return a definition of every protected operator of a formula in LaTeX, and of its clamp."""
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
