"""Figures become parts of a page: in its colours, with names of their own, with words for those who do not see them."""

import re

import pytest
from matplotlib.figure import Figure

from lightning_modules.losses import MSE
from lightning_modules.losses.figures import loss_figure
from lightning_modules.report.html import joined
from lightning_modules.report.pictures import picture, svg
from lightning_modules.utilities.figure_style import BLUE, INK
from tests.report.html_reading import read_report
from tests.report.test_html import HOSTILE, page_of

pytestmark = pytest.mark.draws


def test_two_figures_of_a_page_share_no_name_and_say_what_they_show() -> None:
    both = joined(
        picture(loss_figure(MSE(), "MSE"), name, "A caption", f"What {name} shows") for name in ("one", "two")
    )
    report = read_report(page_of(both))
    assert [each.all("title")[0].text for each in report.all("svg")] == ["What one shows", "What two shows"]
    assert [each.text for each in report.all("figcaption")] == ["A caption"] * 2
    # What is drawn several times is defined once and used by its name.
    assert report.all("use")
    assert {each.attributes["href"].split("-")[0] for each in report.all("use")} == {"#one", "#two"}
    clipped = re.findall(r"url\(#(\w+)-", both)
    assert {*clipped} == {"one", "two"}


def test_colours_are_those_of_the_page_and_texts_are_texts() -> None:
    found = svg(loss_figure(MSE(), "MSE"), "one", "MSE")
    assert INK not in found
    assert BLUE not in found
    assert "var(--ink)" in found
    assert "var(--blue)" in found
    assert "label 0" in [each.text for each in read_report(page_of(found)).all("text")]


def test_a_figure_is_the_same_in_every_run() -> None:
    assert svg(loss_figure(MSE(), "MSE"), "one", "MSE") == svg(loss_figure(MSE(), "MSE"), "one", "MSE")


def test_hostile_names_in_a_figure_are_texts() -> None:
    figure, shown = Figure(), HOSTILE.split("\x00")[0]
    figure.subplots().text(0, 0, shown).set(parse_math=False)
    report = read_report(page_of(svg(figure, "one", HOSTILE)))
    assert shown.rstrip() in [each.text.rstrip() for each in report.all("text")]
