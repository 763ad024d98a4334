"""A formula as LaTeX to paste into a paper."""

from pathlib import Path

from lightning_modules.files import replace_file
from lightning_modules.losses import Formula, FormulaLoss

_EQUATION = "% {comment}\n\\begin{{equation}}\n    \\ell(\\hat{{y}}, y) = {formula}\n\\end{{equation}}\n"


def to_latex(formula: Formula) -> str:
    r"""Return the formula as found and, where that is shorter, simplified, each in an ``equation``.

    Both have ``\hat{y}`` for ``pred`` and ``y`` for ``label``; ``\operatorname`` needs the package amsmath.

    Raises:
        FormulaError: If the formula is too long to be written out.
    """
    found = formula.latex()
    simplified = formula.simplify().latex()
    texts = [_EQUATION.format(comment="As found, without its protection and clamps.", formula=found)]
    if len(simplified) < len(found):
        texts.append(_EQUATION.format(comment="Simplified under real arithmetic.", formula=simplified))
    return "\n".join(texts)


def write_latex(loss: FormulaLoss, path: Path) -> None:
    """Write the LaTeX of a loss's formula to a file; raises like :func:`to_latex`."""
    text = to_latex(loss.formula)
    replace_file(path, lambda unfinished: unfinished.write_text(text, encoding="utf-8"))
