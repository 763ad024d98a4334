"""What a report says of losses: each as mathematics and as code, with its properties and curves."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from matplotlib.figure import Figure

from lightning_modules.check.checking import checked
from lightning_modules.check.settings import CheckSettings
from lightning_modules.export.mathml import clamp_words, equation, meanings
from lightning_modules.losses import Formula, FormulaBased, FormulaError, LossObject, Numerics
from lightning_modules.losses.figures import curves_of, draw_beside_usual
from lightning_modules.report.html import Markup, code, element, folded, joined, listed, paragraphs, table
from lightning_modules.report.pictures import picture
from lightning_modules.utilities.figure_style import styled
from lightning_modules.utilities.processes import torch_threads

_SEED = 42
_HEADINGS = ("loss", "kept", "right signs", "monotone", "finite", "largest derivative")
#: Further properties: the column of ``check``, the heading, and how a value is shown.
_OF_PREDICTION = (
    ("proper", "proper", str),
    ("least_at_0.5", "best at .5", "{:.3f}".format),
    ("keeps_order", "keeps order", str),
)
_OF_SCORES = (
    ("falls_with_positive", "falls with positive", "{:.1%}".format),
    ("rises_with_negatives", "rises with negatives", "{:.1%}".format),
)
_WORDS = (
    ("right signs", "share of predictions at which the derivative points the right way; kept with more than 60 %"),
    ("monotone", "whether it never falls with the prediction for label 0, and never rises with it for label 1"),
    ("finite", "whether it and its derivative are finite for logits from -100 to 100"),
    ("proper", "whether it is a strictly proper scoring rule, so that its predictions are probabilities"),
    ("best at .5", "the prediction that it trains where half of the labels are 1; a proper one says .5"),
    ("keeps order", "whether rows with a higher share of label 1 get a higher prediction, as ranking needs"),
    ("falls with positive", "share of rows of scores where it falls with that of the item that the user has"),
    ("rises with negatives", "share of rows of scores where it rises with those of the negatives"),
)


@dataclass(frozen=True)
class ShownLoss:
    """A loss of a report.

    Attributes:
        name: Its heading, of which there is one in a report.
        loss: The loss.
        remark: What is known of it, in a sentence.
        reference: What names it on the command line; empty if that is its formula.
    """

    name: str
    loss: LossObject
    remark: str = ""
    reference: str = ""


def cards(shown: Sequence[ShownLoss]) -> Markup:
    """Return a card for every loss: the formula as mathematics and as code, and its curves beside the usual loss's."""
    return element("div", *(_card(each, f"curves-{place}") for place, each in enumerate(shown, 1)), class_="panels")


def _card(shown: ShownLoss, name: str) -> Markup:
    loss, usual = shown.loss, curves_of(shown.loss).usual.title
    alternative = f"The curves of {shown.name} beside those of {usual}, dashed."
    caption = f"{shown.name} beside {usual} (dashed), both from their least value up and as steep: what training sees."
    return element(
        "article",
        element("h3", shown.name),
        paragraphs(shown.remark),
        written(loss),
        picture(_curves(loss), name, caption, alternative),
        element("p", "In commands: ", element("code", shown.reference), class_="note") if shown.reference else "",
        class_="card",
    )


def written(loss: LossObject) -> Markup:
    """Return a loss as mathematics, if it is a formula, and as code."""
    if not isinstance(loss, FormulaBased):
        return code(loss.title)
    try:
        shown = loss.formula.shown
        formula, as_code = Markup(equation(shown)), str(shown)
    except FormulaError as error:
        return paragraphs(f"The formula cannot be written out: {error}.")
    mathematics = element("div", formula, class_="equation", tabindex="0")
    parts: list[object] = [mathematics, code(as_code)]
    if as_code != str(loss.formula):
        parts.append(
            folded("as it was trained, with what has no gradient and before it was simplified", code(loss.formula))
        )
    return joined(parts)


def symbols(losses: Sequence[LossObject]) -> Markup:
    """Return what the symbols in the formulas are, and how training protects their operators."""
    protected: dict[Numerics, list[Formula]] = {}
    for loss in losses:
        if isinstance(loss, FormulaBased):
            protected.setdefault(loss.numerics, []).append(loss.formula)
    if not protected:
        return Markup("")
    parts: list[object] = []
    for numerics, formulas in protected.items():
        parts += [paragraphs(f"With {numerics}:")] if len(protected) > 1 else []
        parts.append(_symbols(formulas, numerics))
    return folded("What the symbols are", *parts)


def _symbols(formulas: Sequence[Formula], numerics: Numerics) -> Markup:
    found = dict(pair for formula in formulas for pair in meanings(formula, numerics))
    lines = [Markup(f"{symbol} is {words}") for symbol, words in found.items()]
    return listed([*lines, Markup(clamp_words(numerics))])


@styled
def _curves(loss: LossObject) -> Figure:
    figure = Figure(figsize=(4.2, 3.6))
    figure.subplots_adjust(left=0.15, right=0.98, bottom=0.29, top=0.97)
    axes = figure.subplots()
    draw_beside_usual(axes, "this loss", loss)
    figure.legend(*axes.get_legend_handles_labels(), loc="lower center", ncols=2)
    return figure


def properties(shown: Sequence[ShownLoss]) -> Markup:
    """Return what ``check`` says of losses and of the usual one beside them, as a table with its explanation."""
    usual = curves_of(shown[0].loss).usual
    losses = {shown_loss.name: shown_loss.loss for shown_loss in shown}
    losses.setdefault(usual.title, usual)
    with torch_threads(1):
        found = {name: _checked(loss) for name, loss in losses.items()}
    kinds = [each for each in (*_OF_PREDICTION, *_OF_SCORES) if all(each[0] in row for row in found.values())]
    header = [*_HEADINGS, *(heading for _, heading, _ in kinds)]
    rows = [[name, *_cells(row), *(show(row[column]) for column, _, show in kinds)] for name, row in found.items()]
    explained = [Markup(f"{element('strong', name)}: {words}") for name, words in _WORDS if name in header]
    return joined([table("Properties, found without training", header, rows), listed(explained)])


def _checked(loss: LossObject) -> dict[str, Any]:
    settings, generator = CheckSettings(losses=[loss]), torch.Generator().manual_seed(_SEED)
    return checked(loss, generator=generator, points=settings.points, threshold=settings.least_right_signs).as_row()


def _cells(row: dict[str, Any]) -> list[str]:
    yes = ["no", "yes"]
    return [
        yes[row["keep"]],
        f"{row['right_share']:.1%}",
        yes[row["monotone"]],
        yes[row["finite"]],
        f"{row['max_gradient']:.3g}",
    ]
