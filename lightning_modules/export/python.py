"""Writes a formula as a Python module that needs only PyTorch."""

import textwrap
from pathlib import Path

import torch

from lightning_modules.export.python_check import check_module
from lightning_modules.export.python_expressions import Statements
from lightning_modules.export.python_forms import FORMS, ModuleForm
from lightning_modules.losses import FormulaBased, Numerics
from lightning_modules.utilities.files import replace_file
from lightning_modules.utilities.progress import working

_MODULE = '''"""{title}

{formula}

{validity}
"""

{imports}


{functions}
'''
_VALIDITY = (
    "Holds for {domain} Its log, reciprocal and sqrt take absolute values and keep the sign. The formula above leaves "
    "aside how the code "
    "is protected: by eps = {eps} beside these absolute values, and by a clamp to [{low}, {high}] wherever a value can "
    "leave it."
)
_HELPERS = {
    "_log": "def _log(x: Tensor) -> Tensor:\n    return torch.sign(x) * torch.log(x.abs() + {eps})",
    "_reciprocal": "def _reciprocal(x: Tensor) -> Tensor:\n    return torch.sign(x) / (x.abs() + {eps})",
    "_sqrt": "def _sqrt(x: Tensor) -> Tensor:\n    return torch.sign(x) * torch.sqrt(x.abs() + {eps})",
    "_exp": "def _exp(x: Tensor) -> Tensor:\n    return torch.exp(F.hardtanh(x, -math.inf, 80.0))",
    "_mean": "def _mean(x: Tensor) -> Tensor:\n    return x.mean(dim=-1, keepdim=True)",
    "_sum": "def _sum(x: Tensor, neg: Tensor) -> Tensor:\n    return neg.shape[-1] * x.mean(dim=-1, keepdim=True)",
    "_logmeanexp": (
        "def _logmeanexp(x: Tensor) -> Tensor:\n"
        "    return torch.logsumexp(x, dim=-1, keepdim=True) - math.log(x.shape[-1])"
    ),
    "_hard": (
        "def _hard(x: Tensor, score: Tensor) -> Tensor:\n"
        "    return (score.detach().softmax(dim=-1) * x).sum(dim=-1, keepdim=True)"
    ),
}
_CLAMP = "def _clamp(x: Tensor) -> Tensor:\n    return F.hardtanh(x, {low}, {high})"
_WIDE_CLAMP = (
    "def _clamp(x: Tensor) -> Tensor:\n    largest = torch.finfo(x.dtype).max\n"
    "    return F.hardtanh(x, max({low}, -largest), min({high}, largest))"
)


def to_python(loss: FormulaBased) -> str:
    """Return the text of a module whose ``loss`` computes what the given loss computes.

    Raises:
        FormulaError: If the formula is too long to be written out.
    """
    form = FORMS[loss.dialect.name]
    body = form.head(loss) + textwrap.indent("\n".join(_statements(loss, form)), "    ")
    functions = "\n\n\n".join([*_helpers(body, loss.numerics), body])
    validity = _wrapped(_VALIDITY.format(domain=form.validity, **_numbers(loss.numerics)))
    formula = _wrapped(loss.formula.shortest(), indent="    ")
    return _MODULE.format(
        title=form.title, formula=formula, validity=validity, imports=_imports(functions), functions=functions
    )


def _statements(loss: FormulaBased, form: ModuleForm) -> list[str]:
    written = Statements(loss, form.like)
    return [*form.opening(loss), *written.lines, form.closing(loss, written.result)]


def _imports(functions: str) -> str:
    needed = {"import math\n": "math.", "import torch": "torch.", "import torch.nn.functional as F": "F."}
    modules = [text for text, use in needed.items() if use in functions]
    return "\n".join([*modules, "from torch import Tensor"])


def write_python(loss: FormulaBased, path: Path) -> None:
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
