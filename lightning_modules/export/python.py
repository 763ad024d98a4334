"""Writes a formula as a Python module that needs only PyTorch."""

import textwrap
from pathlib import Path

import torch

from lightning_modules.export.python_check import check_module
from lightning_modules.export.python_expressions import Statements
from lightning_modules.losses import FormulaLoss, Numerics
from lightning_modules.utilities.files import replace_file
from lightning_modules.utilities.progress import working

_MODULE = '''"""A loss for predicted probabilities, one value for every sample.

{formula}

{validity}
"""

{imports}


{functions}
'''
_VALIDITY = (
    "Holds for ``pred`` and ``label`` in [0, 1], of one shape, in float32 and float64; half precision is not covered. "
    "Its log, reciprocal and sqrt take absolute values and keep the sign. The formula above leaves aside how the code "
    "is protected: by eps = {eps} beside these absolute values, and by a clamp to [{low}, {high}] wherever a value can "
    "leave it."
)
_HELPERS = {
    "_log": "def _log(x: Tensor) -> Tensor:\n    return torch.sign(x) * torch.log(x.abs() + {eps})",
    "_reciprocal": "def _reciprocal(x: Tensor) -> Tensor:\n    return torch.sign(x) / (x.abs() + {eps})",
    "_sqrt": "def _sqrt(x: Tensor) -> Tensor:\n    return torch.sign(x) * torch.sqrt(x.abs() + {eps})",
    "_exp": "def _exp(x: Tensor) -> Tensor:\n    return torch.exp(x.clamp(max=80.0))",
}
_CLAMP = "def _clamp(x: Tensor) -> Tensor:\n    return x.clamp({low}, {high})"
_WIDE_CLAMP = (
    "def _clamp(x: Tensor) -> Tensor:\n    largest = torch.finfo(x.dtype).max\n"
    "    return x.clamp(max({low}, -largest), min({high}, largest))"
)
_SIGNATURE = (
    "def loss(pred: Tensor, label: Tensor) -> Tensor:\n"
    '    """Return the loss of every sample, in the shape of ``pred``; ``label`` has that shape and type too."""\n'
)


def to_python(loss: FormulaLoss) -> str:
    """Return the text of a module whose ``loss(pred, label)`` computes what the given loss computes.

    Raises:
        FormulaError: If the formula is too long to be written out.
    """
    body = _SIGNATURE + textwrap.indent("\n".join(Statements(loss).lines), "    ")
    functions = "\n\n\n".join([*_helpers(body, loss.numerics), body])
    imports = "import torch\nfrom torch import Tensor" if "torch." in functions else "from torch import Tensor"
    formula = _wrapped(loss.formula.shortest(), indent="    ")
    validity = _wrapped(_VALIDITY.format(**_numbers(loss.numerics)))
    return _MODULE.format(formula=formula, validity=validity, imports=imports, functions=functions)


def write_python(loss: FormulaLoss, path: Path) -> None:
    """Write the module of :func:`to_python` to a file, after checking its values and gradients against the loss.

    Raises:
        FormulaError: If the formula is too long to be written out.
        RuntimeError: If values or gradients differ; the file is not written then.
    """

    def write(unfinished: Path) -> None:
        unfinished.write_text(to_python(loss), encoding="utf-8")
        check_module(unfinished, loss)

    with working("writing the formula and checking what it computes"):
        replace_file(path, write)


def _helpers(body: str, numerics: Numerics) -> list[str]:
    is_wide = max(-numerics.low, numerics.high) > torch.finfo(torch.float32).max
    helpers = _HELPERS | {"_clamp": _WIDE_CLAMP if is_wide else _CLAMP}
    numbers = _numbers(numerics)
    return [text.format(**numbers) for name, text in helpers.items() if f"{name}(" in body]


def _numbers(numerics: Numerics) -> dict[str, str]:
    numbers = {"eps": numerics.eps, "low": numerics.low, "high": numerics.high}
    return {name: repr(number).replace("inf", 'float("inf")') for name, number in numbers.items()}


def _wrapped(text: str, indent: str = "") -> str:
    return textwrap.fill(
        text,
        width=120,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
