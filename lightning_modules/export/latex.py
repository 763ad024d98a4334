"""A formula as LaTeX to paste into a paper."""

from pathlib import Path

from lightning_modules.files import replace_file
from lightning_modules.losses import Formula, FormulaLoss, Numerics
from lightning_modules.losses.protections import latex_protections

_EQUATION = "% {comment}\n\\begin{{equation}}\n    \\ell(\\hat{{y}}, y) = {formula}\n\\end{{equation}}\n"


def to_latex(formula: Formula, numerics: Numerics | None = None) -> str:
    r"""Return the formula as found and, where that is shorter, simplified, each in an ``equation``.

    After the first stand the definitions of what is protected in it, so that both together are the function that was
    trained. The second leaves out terms without gradient. Both have ``\hat{y}`` for ``pred`` and ``y`` for ``label``;
    ``\operatorname`` needs the package amsmath.

    Raises:
        FormulaError: If the formula is too long to be written out.
    """
    found = formula.latex()
    simplified = formula.without_offset().latex()
    *operators, clamp = latex_protections(formula.nodes, numerics or Numerics())
    texts = [_EQUATION.format(comment="As trained.", formula=found), f"where {'; '.join([*operators, clamp])}.\n"]
    if len(simplified) < len(found):
        comment = "Simplified under real arithmetic, without protections, clamps and terms without gradient."
        texts.append(_EQUATION.format(comment=comment, formula=simplified))
    return "\n".join(texts)


def write_latex(loss: FormulaLoss, path: Path) -> None:
    """Write the LaTeX of a loss's formula to a file; raises like :func:`to_latex`."""
    text = to_latex(loss.formula, loss.numerics)
    replace_file(path, lambda unfinished: unfinished.write_text(text, encoding="utf-8"))
